"""`agentctl archive`, `purge` and `sessions`, and `runs` by session and time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.cli.main import main
from penstock.store.run_day import day_of
from penstock.store.sessions import SessionStore
from penstock.testing.old_runs import OldRuns

Agentctl = Callable[..., tuple[int, str]]
HEAD = "apiVersion: penstock.dev/v1\nkind: Operations\nmetadata: {name: default}\nspec:\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OldRuns]:
    (tmp_path / "pyproject.toml").write_text('[tool.penstock]\ndriver = "ci"\n')
    made = OldRuns(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def agentctl(world: OldRuns, capsys: pytest.CaptureFixture[str]) -> Agentctl:
    def run(*words: str) -> tuple[int, str]:
        status = main(["--project", str(world.settings.root), *words])
        return status, capsys.readouterr().out

    return run


def retention(world: OldRuns, rules: str) -> None:
    folder = world.settings.root / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "operations.yaml").write_text(f"{HEAD}  retention: {rules}\n")


def test_runs_are_archived_checked_purged_and_still_there(world: OldRuns, agentctl: Agentctl) -> None:
    assert agentctl("archive", "verify") == (0, "0 runs of 0 days in 0 objects: all is there\n")
    assert agentctl("purge") == (0, "nothing is older than its retention\n")
    old, young = world.add(40, 1), world.add(3, 2)
    assert agentctl("archive", "run", "--until", "7d")[1].startswith("archived 1 runs in 1 objects")
    status, out = agentctl("archive", "run", "--json")
    assert (status, json.loads(out)["runs"]) == (0, 1)
    assert agentctl("archive", "verify") == (0, "2 runs of 2 days in 2 objects: all is there\n")
    status, planned = agentctl("purge", "--dry-run")
    assert (status, planned.splitlines()[0], "1  runs\n" in planned) == (0, "would go:", True)
    gone = json.loads(agentctl("purge", "--json")[1])
    assert (gone["runs"], gone["dryRun"], gone["problems"]) == (1, False, [])
    listed = agentctl("runs")[1]
    assert (old in listed, young in listed) == (False, True)
    assert agentctl("events", old)[0] == 0
    (Path(world.settings.archive) / f"payloads/{day_of(old)}/{old}.jsonl.gz").unlink()
    status, told = agentctl("archive", "verify")
    assert (status, f"run {old}: its contents are gone" in told) == (1, True)
    assert agentctl("archive", "verify", "--since", "7d")[0] == 0


def test_retention_is_what_the_operations_say(world: OldRuns, agentctl: Agentctl) -> None:
    world.add(3, 1)
    retention(world, "{runs: 2d, payloads: 1d, archive: false}")
    assert json.loads(agentctl("purge", "--dry-run", "--json")[1])["runs"] == 1
    assert json.loads(agentctl("purge", "--json")[1])["runs"] == 1
    assert not Path(world.settings.archive).exists()
    retention(world, "{runs: 2d}")
    assert agentctl("purge")[0] == 1


def test_the_payloads_of_one_run_are_deleted_everywhere(world: OldRuns, agentctl: Agentctl) -> None:
    run_id = world.add(3, 1, is_large=True)
    agentctl("archive", "run")
    assert agentctl("purge", "--run", run_id) == (0, f"the payloads of run {run_id} are deleted\n")
    assert world.bodies(run_id) == []
    assert agentctl("archive", "verify", "--json")[0] == 0
    assert agentctl("purge", "--run", "nobody")[0] == 1
    assert agentctl("purge", "--run", run_id, "--dry-run")[0] == 2


def test_a_run_that_cannot_be_archived_is_named(world: OldRuns, agentctl: Agentctl) -> None:
    run_id = world.add(40, 1, is_large=True)
    world.objects.delete(world.objects.of_run(run_id))
    for command in (["archive", "run"], ["purge"]):
        status, out = agentctl(*command)
        assert (status, f"run {run_id}: a payload is not there" in out) == (1, True)
    assert world.store.run(run_id) is not None


def test_a_session_is_shown_with_its_runs(world: OldRuns, agentctl: Agentctl) -> None:
    run_id = world.add(3, 1, tenant="acme", sessionId="s-1")
    other = world.add(3, 2, tenant="other", sessionId="s-1")
    sessions = SessionStore(world.database)
    sessions.pin("acme", "clerk", "s-1", "sha256:a", "1.0.0", "prod")
    sessions.append("acme", "clerk", "s-1", {"role": "user", "content": "good morning"})
    status, out = agentctl("sessions", "s-1", "--tenant", "acme")
    assert (status, "user       good morning" in out, run_id in out, other in out) == (0, True, True, False)
    assert [
        run["runId"] for run in json.loads(agentctl("sessions", "s-1", "--tenant", "acme", "--json")[1])["runs"]
    ] == [run_id]
    assert agentctl("sessions", "s-1")[0] == 1
    assert other in agentctl("runs", "--session", "s-1", "--tenant", "other", "--since", "4d")[1]
    assert agentctl("runs", "--since", "2d")[1] == "no runs\n"
    assert agentctl("runs", "--since", "soon")[0] == 2
