"""The real check of a real head: in a process without secrets, in a checkout that ends with it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.forge.check import check_head
from penstock.forge.program import run_program
from penstock.forge.review import review
from penstock.forge.scratch import scratch

World = Any  # of conftest.py


def agent_files(here: World, name: str, version: str) -> dict[str, str | None]:
    text = here.author.root.joinpath("registry_repo/agents/clerk/1.0.0.yaml").read_text("utf-8")
    prompt = here.author.root.joinpath("registry_repo/prompts/clerk/1.0.0.md").read_text("utf-8")
    return {
        f"registry_repo/agents/{name}/{version}.yaml": text.replace("1.0.0", version)
        .replace("models/standard@" + version, "models/standard@1.0.0")
        .replace("policies/default@" + version, "policies/default@1.0.0"),
        f"registry_repo/prompts/{name}/{version}.md": prompt.replace("1.0.0", version),
    }


def test_a_merge_request_is_checked_and_shown(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request(agent_files(here, "clerk", "1.1.0"))
    done = review(here.bot(), iid)
    assert done.outcome == "passed", done
    assert here.statuses(done.head) == [("success", "clerk@1.1.0: all gates passed")]
    (note,) = here.notes(iid)
    assert "| clerk&#64;1.1.0 | nothing in production | dev | ✅ passed |" in note
    assert "draft: does not count" in note
    assert note.count("<details>") == note.count("</details>")
    assert not here.home.joinpath("releases", "results").exists()


def test_faults_are_shown_where_they_are(world: Callable[..., World]) -> None:
    here = world()
    files = agent_files(here, "clerk", "1.1.0")
    broken = str(files["registry_repo/agents/clerk/1.1.0.yaml"]).replace("mode: workflow", "mode: dreaming")
    iid = here.request({**files, "registry_repo/agents/clerk/1.1.0.yaml": broken})
    done = review(here.bot(), iid)
    assert done.outcome == "failed"
    assert done.sentence.startswith("registry_repo/agents/clerk/1.1.0.yaml:")
    assert len(here.notes(iid, "<!-- penstock:finding")) >= 1


def test_nothing_of_ours_reaches_the_checkout(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    here = world()
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-model")
    workspace = here.bot().workspace
    head = workspace.fetch()
    with scratch(here.settings, head, head) as place:
        seen = place.environment()
        config = (place.project / ".git" / "config").read_text("utf-8")
        assert (place.project / "registry_repo" / "teams.yaml").is_file()
        folder = place.folder
    assert not folder.exists()
    assert not any("glpat" in text or "key-of" in text for text in [*seen.values(), config])
    assert seen["PENSTOCK_RELEASES_URL"].startswith(str(folder))
    assert set(seen) <= {*(name for name in seen if name.startswith("PENSTOCK_")), "PATH", "HOME", "TMPDIR", "LANG"} | {
        "LC_ALL", "TZ", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"
    }  # fmt: skip


def test_a_commit_that_is_not_there_is_an_environment_failure(world: Callable[..., World]) -> None:
    here = world()
    head = here.bot().workspace.fetch()
    verdict = check_head(here.settings, "0" * 40, head, limit_s=60)
    assert verdict.outcome == "errored"
    assert verdict.sentence.startswith("environment: git ")


@pytest.mark.parametrize("why", ["time", "cancel"])
def test_a_check_that_does_not_end_is_ended(why: str, world: Callable[..., World]) -> None:
    here = world()
    head = here.bot().workspace.fetch()
    limit_s = 0.0 if why == "time" else 600.0
    verdict = check_head(here.settings, head, head, limit_s=limit_s, cancelled=lambda: why == "cancel")
    assert verdict.outcome == "errored"
    assert ("longer than it may" in verdict.sentence) == (why == "time")


def test_nothing_that_a_program_started_outlives_it(tmp_path: Path) -> None:
    child = "import os, sys, time; pid = os.fork(); print(pid, flush=True) if pid else time.sleep(600)"
    ended = run_program(["python3", "-c", child], tmp_path, dict(os.environ), until=time.monotonic() + 30)
    assert ended.status == 0
    pid = int(ended.out)
    ends = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < ends


def test_a_report_that_is_a_link_out_is_not_read(world: Callable[..., World], tmp_path: Path) -> None:
    from penstock.forge.check import read_plain

    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.json").write_text('{"a": 1}', "utf-8")
    (inside / "link.json").symlink_to(tmp_path / "secret.json")
    (inside / "plain.json").write_text('{"a": 1}', "utf-8")
    assert read_plain(inside / "link.json", inside) is None
    assert read_plain(inside / "plain.json", inside) == {"a": 1}


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
