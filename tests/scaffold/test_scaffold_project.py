import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from penstock.errors import Conflict, Unavailable, WrongUse
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource, TreeSource
from penstock.scaffold import reference
from penstock.scaffold.project import lay_down_project
from penstock.settings import load_settings


def test_a_new_project_is_committed_on_main_and_has_no_fault(tmp_path: Path, identity: str) -> None:
    from penstock.registry.git import Repository

    made = lay_down_project(tmp_path / "proj")
    repository = Repository.open(made.root)
    assert (repository.current_branch(), repository.head()) == ("main", made.commit)
    registry = load_registry(GitSource(repository, made.commit), default_runtime="direct")
    assert registry.faults == []
    assert registry.agents() == ["testcase-generator"]
    assert registry.teams is not None
    assert registry.teams.teams["qa-platform"].members == [identity]
    assert repository.commit(made.commit).author_email == identity


def test_every_file_is_in_the_commit(tmp_path: Path) -> None:
    made = lay_down_project(tmp_path / "proj")
    listed = subprocess.run(
        ["git", "-C", str(made.root), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(listed) == made.files
    assert {".ci/run", ".gitlab-ci.yml", "Makefile", "README.md", "CHANGELOG.md", "requirements.lock"} <= set(listed)
    assert not any(path.startswith(("src/", "tests/", "bench/", "docs/")) for path in listed)


def test_its_settings_and_its_ci_can_be_read(tmp_path: Path) -> None:
    root = lay_down_project(tmp_path / "proj").root
    assert load_settings(root).driver == "ci"
    pipeline = yaml.safe_load((root / ".gitlab-ci.yml").read_text())
    assert {"validate", "changed", "agents", "merged", "reconcile", "canary tick"} <= pipeline.keys()


def test_gitlab_takes_its_pipeline(tmp_path: Path) -> None:
    root = lay_down_project(tmp_path / "proj").root
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    files = [str(root / ".gitlab-ci.yml"), str(root / ".gitlab/defaults.yml")]
    command = [*check, "--data-transform", "gitlab-ci", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_jobs_of_the_protected_branch_store_or_move_anything(tmp_path: Path) -> None:
    root = lay_down_project(tmp_path / "proj").root
    pipeline = yaml.safe_load((root / ".gitlab-ci.yml").read_text())
    protected = '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $CI_COMMIT_REF_PROTECTED == "true"'
    for name, job in pipeline.items():
        if isinstance(job, dict) and re.search(r"--counts|reconcile|tick", " ".join(job.get("script", []))):
            conditions = [rule["if"] for rule in job["rules"] if rule.get("when") != "never"]
            assert all(condition.endswith(protected) for condition in conditions), name


def test_a_folder_with_an_odd_name_gives_a_project_that_can_be_read(tmp_path: Path) -> None:
    root = lay_down_project(tmp_path / 'od"d {{ name }} ü').root
    assert tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"] == "od-d-name"


def test_a_folder_that_holds_one_of_the_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj/README.md").write_text("mine")
    with pytest.raises(Conflict, match=r"README\.md"):
        lay_down_project(tmp_path / "proj")
    assert [place.name for place in (tmp_path / "proj").iterdir()] == ["README.md"]


def test_other_files_and_their_changes_are_not_committed(tmp_path: Path) -> None:
    root = tmp_path / "proj"
    root.mkdir()
    (root / "notes.txt").write_text("mine")
    subprocess.run(["git", "init", "-q", "-b", "trunk", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "add", "notes.txt"], check=True)
    made = lay_down_project(root)
    assert made.branch == "trunk"
    shown = subprocess.run(["git", "-C", str(root), "status", "-s"], capture_output=True, text=True, check=True).stdout
    assert shown == "A  notes.txt\n"


def test_a_file_or_a_place_in_another_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WrongUse, match="no folder"):
        lay_down_project(tmp_path / "file")
    lay_down_project(tmp_path / "proj")
    with pytest.raises(WrongUse, match="inside the repository"):
        lay_down_project(tmp_path / "proj/deep/er")


@pytest.mark.parametrize("config", ["", "[user]\n\tname = Ada\n\temail = nobody\n"])
def test_without_an_identity_nothing_is_committed_and_that_is_said(tmp_path: Path, config: str) -> None:
    (tmp_path / "gitconfig").write_text(config)
    made = lay_down_project(tmp_path / "proj")
    assert (made.commit, made.branch) == ("", "")
    assert "user.email" in made.reason
    assert load_registry(TreeSource(made.root), default_runtime="direct").faults == []


def test_reference_content_that_is_lost_is_the_installations_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.__file__", str(tmp_path / "lib/penstock/__init__.py"))
    with pytest.raises(Unavailable, match="reference content is not installed"):
        reference.reference_root()
    (tmp_path / "lib/penstock/reference/registry_repo/agents").mkdir(parents=True)
    assert reference.reference_root() == tmp_path / "lib/penstock/reference"
