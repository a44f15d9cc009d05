"""How executors stand to the routing table in force, and where people see it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.contracts.routing_table import RoutingTable, TableSource
from penstock.release.clock import now, stamp
from penstock.release.fleet import judge
from penstock.store.executors import Beat, ExecutorStore, Heard

World = Any
MANAGER = ("Mia Manager", "manager@example.org")
BEAT = Beat("id", "http://127.0.0.1:8080", "host-a", 4711, "0.1.0", "L", 43, 0.1)
NAME = "executor http://127.0.0.1:8080 (host-a, process 4711)"
TABLE = RoutingTable(
    lineage="L", generation=43, created_at="", source=TableSource(commit=None, kind="promote", actor="ada@example.org")
)


@pytest.mark.parametrize(
    ("changes", "ago_s", "behind_s", "state", "sentence"),
    [
        ({}, 1, 0, "follows", ""),
        ({"generation": 41}, 1, 3, "behind", ""),
        (
            {"generation": 41, "problem": "the store is away"},
            1,
            12,
            "behind",
            "has generation 41 in force, 43 is published, and it is behind since 12 s: the store is away",
        ),
        (
            {"generation": None, "lineage": None},
            1,
            12,
            "behind",
            "has no routing table in force, 43 is published, and it is behind since 12 s",
        ),
        ({"generation": 44}, 1, 0, "ahead", "has generation 44 in force, and the store ends at 43: it went back"),
        (
            {"lineage": "K"},
            1,
            0,
            "elsewhere",
            "follows a release store of lineage K, this one is of L: `agentctl routes adopt` there, if that is meant",
        ),
        ({"problem": "a moment's trouble", "table_age_s": 2.0}, 1, 0, "follows", ""),
        (
            {"problem": "the store is away", "table_age_s": 60.0},
            1,
            0,
            "stuck",
            "cannot follow the release store since 60 s: the store is away",
        ),
        (
            {"problem": "the store is away", "table_age_s": None},
            1,
            0,
            "stuck",
            "cannot follow the release store since its start: the store is away",
        ),
        ({"generation": 41}, 45, 60, "silent", "is silent since 45 s; it had generation 41 in force"),
    ],
)
def test_one_executor_beside_the_table(
    changes: dict[str, Any], ago_s: float, behind_s: float, state: str, sentence: str
) -> None:
    seen = judge(Heard(replace(BEAT, **changes), ago_s), TABLE, lambda _: behind_s)
    assert (seen.state, seen.sentence) == (state, sentence and f"{NAME} {sentence}")


def report(here: World, **changes: Any) -> None:
    workspace = here.workspace(MANAGER)
    table = here.table()
    known = {"lineage": table.lineage, "generation": table.generation}
    ExecutorStore(workspace.database).put(replace(BEAT, **{**known, **changes}))
    workspace.close()


def shown(here: World, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = here.cli(MANAGER, *words, "--json")
    return status, json.loads(capsys.readouterr().out)


def test_reconcile_and_status_show_what_executors_serve(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world()
    here.reconcile()
    here.cli(MANAGER, "freeze", "helper", "--reason", "a second table")
    report(here)
    for words in (("reconcile",), ("reconcile", "--dry"), ("status",)):
        status, document = shown(here, capsys, *words)
        assert (status, document["drift"], document["notes"]) == (0, [], [])
        assert [(one["id"], one["state"]) for one in document["executors"]] == [("id", "follows")]
    assert here.cli(MANAGER, "status", "helper") == 0
    assert f"  {NAME}: generation {here.table().generation}, follows, heard " in capsys.readouterr().out

    monkeypatch.setattr("penstock.release.fleet.GRACE_S", 3_600.0)
    report(here, generation=here.table().generation - 1)  # just published: it may be on its way
    assert shown(here, capsys, "reconcile")[0] == 0
    monkeypatch.setattr("penstock.release.fleet.GRACE_S", -1.0)
    for words, wanted in ((("reconcile",), 1), (("reconcile", "--dry"), 1), (("status",), 0)):
        status, document = shown(here, capsys, *words)
        assert (status, len(document["drift"])) == (wanted, 1)
        assert document["drift"][0].startswith(f"{NAME} has generation {here.table().generation - 1} in force")
    assert here.cli(MANAGER, "status") == 0
    assert f"  drift: {NAME} has" in capsys.readouterr().out


def test_publishing_often_does_not_hide_who_is_behind(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    store = here.workspace(MANAGER).releases
    first = here.table()
    for number, created in ((1, "2026-01-01T00:00:00.000000Z"), (2, stamp(now()))):
        later = {"generation": first.generation + number, "created_at": created}
        assert store.create_table(first.model_copy(update=later))
    report(here, generation=first.generation)
    found = here.reconcile()
    [drift] = found.drift
    assert f"has generation {first.generation} in force, {first.generation + 2} is published" in drift
    assert found.exit_status == 1


def test_a_database_that_cannot_be_read_is_no_empty_fleet(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.reconcile()
    (here.home / "plain").write_text("no folder")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{here.home}/plain/store.db")
    for words in (("reconcile",), ("reconcile", "--dry"), ("status",)):
        status, document = shown(here, capsys, *words)
        assert (status, document["executors"], document["drift"]) == (0, None, [])
        assert any(note.startswith("what executors serve is not known: ") for note in document["notes"])
