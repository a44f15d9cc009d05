"""What jobs of GitLab CI call: `agentctl ci pipeline` and `agentctl ci move`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

World = Any
AUTHOR, APPROVER, MANAGER, STRANGER = (
    ("Ada Author", "author@example.org"),
    ("Ben Approver", "approver@example.org"),
    ("Mia Manager", "manager@example.org"),
    ("Sam Stranger", "stranger@example.org"),
)


@pytest.fixture
def started_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[str, str]], None]:
    """Says who pressed the button, as GitLab does."""

    def say(who: tuple[str, str]) -> None:
        for name, value in (("GITLAB_CI", "true"), ("GITLAB_USER_NAME", who[0]), ("GITLAB_USER_EMAIL", who[1].upper())):
            monkeypatch.setenv(name, value)

    return say


def names(file: Path) -> list[str]:
    return [name for name in yaml.safe_load(file.read_text("utf-8")) if name not in {"include", "stages"}]


def test_the_child_pipeline_is_of_what_a_branch_changes(
    world: Callable[..., World], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world("helper", "other")
    base = here.author.git("rev-parse", "HEAD")
    here.author.branch("change")
    here.author.commit({"registry_repo/agents/helper/1.1.0.yaml": _next_version(here)})
    out = tmp_path / "child.yml"
    words = (
        "ci",
        "pipeline",
        "--base",
        "origin/main",
        "--include",
        ".gitlab/defaults.yml",
        "--out",
        str(out),
        "--json",
    )
    assert here.cli(AUTHOR, *words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"file": str(out), "base": base, "counts": False, "versions": ["helper@1.1.0"]}
    assert names(out) == ["helper@1.1.0 eval", "helper@1.1.0 report"]  # a gate of the project's own is among eval
    document = yaml.safe_load(out.read_text("utf-8"))
    assert document["include"] == [{"local": ".gitlab/defaults.yml"}]
    assert f"--base {base} " in document["helper@1.1.0 eval"]["script"][0]
    assert here.cli(AUTHOR, "ci", "pipeline", "--base", "origin/main") == 0
    assert yaml.safe_load(capsys.readouterr().out)["helper@1.1.0 eval"] == document["helper@1.1.0 eval"]


def _next_version(here: World) -> str:
    text: str = (here.author.root / "registry_repo/agents/helper/1.0.0.yaml").read_text("utf-8")
    return text.replace("version: 1.0.0", "version: 1.1.0")


def test_a_branch_that_touches_no_agent_has_one_job(world: Callable[..., World], tmp_path: Path) -> None:
    here = world()
    here.author.branch("change")
    here.author.commit({"README.md": "words\n"})
    assert here.cli(AUTHOR, "ci", "pipeline", "--base", "origin/main", "--out", str(tmp_path / "child.yml")) == 0
    assert names(tmp_path / "child.yml") == ["nothing changed"]


def test_where_nothing_was_before_it_is_of_what_stands_nowhere(world: Callable[..., World], tmp_path: Path) -> None:
    here = world("helper", "other")
    out = tmp_path / "child.yml"
    words = ("ci", "pipeline", "--counts", "--base", "0" * 40, "--out", str(out))
    assert here.cli(MANAGER, *words) == 0
    moves = ["dev", "canary", "prod"]
    both = [f"{agent}@1.0.0 {job}" for agent in ("helper", "other") for job in ("eval", "report", *moves)]
    assert names(out) == both
    here.reconcile()
    here.clone(MANAGER).git("pull", "--quiet")
    assert here.cli(MANAGER, *words) == 0
    assert names(out) == ["nothing changed"]


def test_what_counts_needs_a_store_that_the_jobs_share(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    monkeypatch.delenv("PENSTOCK_RELEASES_URL")
    assert here.cli(MANAGER, "ci", "pipeline", "--counts") == 2
    assert "PENSTOCK_RELEASES_URL: each job would have a release store of its own" in capsys.readouterr().err


def test_under_dagster_the_jobs_only_show(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = world()
    monkeypatch.setenv("PENSTOCK_DRIVER", "dagster")
    assert here.cli(MANAGER, "ci", "pipeline", "--counts", "--out", str(tmp_path / "child.yml")) == 0
    assert names(tmp_path / "child.yml") == ["helper@1.0.0 eval", "helper@1.0.0 report"]


def test_a_file_that_cannot_be_written_is_the_environments_fault(
    world: Callable[..., World], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world().cli(AUTHOR, "ci", "pipeline", "--out", str(tmp_path / "no" / "child.yml")) == 3
    assert "--out FILE" in capsys.readouterr().err


def test_a_move_to_dev_is_the_bots_and_is_made_once(
    world: Callable[..., World],
    started_by: Callable[[tuple[str, str]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = world()
    started_by(STRANGER)
    words = ("ci", "move", "helper@1.0.0", "--to", "dev")
    assert here.cli(MANAGER, *words, "--json") == 0
    generation = here.table().generation
    assert json.loads(capsys.readouterr().out) == {
        "agent": "helper",
        "version": "1.0.0",
        "to": "dev",
        "place": "dev",
        "moved": True,
        "generation": generation,
    }
    assert here.cli(MANAGER, *words) == 0
    assert "nothing was to be done" in capsys.readouterr().out
    assert here.table().generation == generation


def test_a_version_whose_gates_say_no_does_not_go_by_itself(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.add("helper", "1.1.0", quality="bad")
    assert here.cli(MANAGER, "ci", "move", "helper@1.1.0", "--to", "dev") == 1
    said = capsys.readouterr().err
    assert "helper@1.1.0 does not go to dev by itself" in said
    assert "its label says bad" in said


def test_a_move_to_canary_is_of_whoever_pressed_the_button(
    world: Callable[..., World],
    started_by: Callable[[tuple[str, str]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = world()
    words = ("ci", "move", "helper@1.0.0", "--to", "canary")
    started_by(STRANGER)
    assert here.cli(MANAGER, *words) == 1
    assert "stranger@example.org may not promote" in capsys.readouterr().err
    started_by(APPROVER)
    assert here.cli(MANAGER, *words) == 1
    assert "0 of 1 approvals" in capsys.readouterr().err
    here.approve("helper", "1.0.0", "canary", APPROVER)
    assert here.cli(MANAGER, *words) == 0
    assert here.routes().canary.version == "1.0.0"
    assert here.cli(MANAGER, "ci", "move", "helper@1.0.0", "--to", "dev") == 0  # a job that is run again
    assert "stands in canary" in capsys.readouterr().out
    assert here.routes().canary.version == "1.0.0"
