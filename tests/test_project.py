"""Conventions of the repository itself."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_gitlab_pipeline_is_one_that_gitlab_reads() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci"]
    files = [str(ROOT / ".gitlab-ci.yml"), str(ROOT / ".gitlab/defaults.yml")]
    command = [*check, "--data-transform", "gitlab-ci", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pipeline_fetches_all_history() -> None:
    defaults = yaml.safe_load((ROOT / ".gitlab/defaults.yml").read_text("utf-8"))
    assert defaults["variables"]["GIT_DEPTH"] == "0"


def test_this_project_is_released_by_the_pipeline_that_it_lays_down() -> None:
    laid = ROOT / "src/penstock/scaffold/templates/project"
    assert (ROOT / ".gitlab/defaults.yml").read_text("utf-8") == (laid / "dot-gitlab/defaults.yml.tmpl").read_text(
        "utf-8"
    )
    own = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text("utf-8"))
    assert own.pop("code")["script"] == ["make check", "make test"]
    assert own == yaml.safe_load((laid / "dot-gitlab-ci.yml.tmpl").read_text("utf-8"))


def test_every_locked_distribution_is_pinned_with_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    entries = [entry for entry in re.split(r"\n(?=[a-z0-9A-Z])", lock) if not entry.startswith("#")]
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in lock
    assert not (ROOT / "uv.lock").exists()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {re.split(r"[\[=><~; ]", line)[0].lower().replace("_", "-") for group in groups for line in group}
    locked = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    assert wanted - locked == {"penstock"}


def test_the_command_line_starts_without_heavy_imports() -> None:
    heavy = ["litellm", "dagster", "langgraph", "pandas", "fastapi", "obstore", "great_expectations", "sqlalchemy"]
    script = f"import sys, penstock.cli.main as m; m.main(['--help']); print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_file_names_a_package_index() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    index = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian")
    texts = [ROOT / name for name in listed.splitlines() if name != "tests/test_project.py"]
    assert [str(path) for path in texts if path.is_file() and index.search(path.read_text("utf-8", "ignore"))] == []
