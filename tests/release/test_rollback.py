"""Rollback: at once, with nothing but the release store, and nothing undoes it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Conflict, Refused, Unavailable, WrongUse
from penstock.release import crash_point
from penstock.release.apply import apply_plan
from penstock.release.driver import plan_promotion, promote
from penstock.release.publish import Cause, publish_head
from penstock.release.rollback import roll_back
from penstock.release.stops import unhold, unquarantine
from penstock.release.urgent import publish_urgent
from penstock.routing.table import Caller, RoutingTable

World = Any
AUTHOR, APPROVER, MANAGER = (
    ("Ada Author", "author@example.org"),
    ("Ben Approver", "approver@example.org"),
    ("Mia Manager", "manager@example.org"),
)


@pytest.fixture
def served(world: Callable[..., World]) -> World:
    """helper: 1.1.0 in prod, 1.0.0 previous."""
    here = world()
    here.reconcile()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_prod("helper", "1.1.0")
    return here


def test_both_standing_and_no_stage_prints_both_commands(served: World, capsys: pytest.CaptureFixture[str]) -> None:
    served.add("helper", "1.2.0")
    served.reconcile()
    served.to_canary("helper", "1.2.0")
    assert served.cli(MANAGER, "rollback", "helper", "--reason", "bad") == 2
    said = capsys.readouterr().err
    assert "--stage canary" in said
    assert "--stage prod" in said
    assert served.routes().canary.version == "1.2.0"

    assert served.cli(MANAGER, "rollback", "helper", "--stage", "canary", "--reason", "bad", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["committed"]) == ("rollback", True)
    assert (served.routes().canary, served.routes().prod.version) == (None, "1.1.0")


def test_a_rollback_needs_neither_git_nor_database(served: World, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = served.workspace(MANAGER)
    away = served.author.remote.with_name("away.git")
    served.author.remote.rename(away)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{served.home}/missing/folder/store.db")
    commit = served.table().source.commit
    done = roll_back(served.workspace(MANAGER), "helper", "nonsense")
    assert "fetch failed" in done.pending
    table = served.table()
    assert (table.agents["helper"].prod.version, table.source.commit) == ("1.0.0", commit)
    assert len(table.overlay["helper"]) == 1
    route = RoutingTable(table).select("helper", Caller("t", "u", None, "r1"))
    assert route.version == "1.0.0"

    away.rename(served.author.remote)
    again = served.reconcile()
    assert again.drift == []
    assert served.table().overlay == {}
    assert served.routes().prod.version == "1.0.0"
    assert f"Overlay: {table.overlay['helper'][0].id}" in served.author.git(
        "--git-dir", str(served.author.remote), "log", "-1", "--format=%B", "main"
    )
    assert workspace.settings.root.is_dir()


def test_a_rollback_without_the_release_store_is_unavailable(served: World) -> None:
    shutil.move(served.home / "releases", served.home / "gone")
    with pytest.raises(Unavailable):
        roll_back(served.workspace(MANAGER), "helper", "nonsense")


def test_a_promotion_of_another_agent_does_not_undo_it(world: Callable[..., World]) -> None:
    here = world("helper", "other")
    here.reconcile()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_prod("helper", "1.1.0")
    here.approve("other", "1.0.0", "canary", APPROVER)
    promoter = here.workspace(APPROVER)
    promoter.fetch()
    planned = plan_promotion(promoter, ("other", "1.0.0", "canary"))

    away = here.author.remote.with_name("away.git")
    here.author.remote.rename(away)
    roll_back(here.workspace(MANAGER), "helper", "nonsense")
    away.rename(here.author.remote)

    apply_plan(promoter, planned, APPROVER[1])
    assert here.routes("helper").prod.version == "1.0.0"
    assert here.routes("other").canary.version == "1.0.0"
    assert [entry.reason for entry in here.table().overlay["helper"]] == ["nonsense"]
    here.reconcile()
    assert (here.routes("helper").prod.version, here.table().overlay) == ("1.0.0", {})


def test_a_promoter_that_read_before_does_not_undo_it(served: World) -> None:
    """The canary is rolled back, uncommitted; somebody who planned before promotes that canary to prod."""
    served.add("helper", "1.2.0")
    served.to_canary("helper", "1.2.0")
    served.live_runs("helper", 2)
    served.measure("helper", "1.2.0", "prod")
    served.approve("helper", "1.2.0", "prod", MANAGER)
    promoter = served.workspace(MANAGER)
    promoter.fetch()
    planned = plan_promotion(promoter, ("helper", "1.2.0", "prod"))
    assert planned.ready

    def roll_back_meanwhile(point: str) -> None:
        if point == "evidence read again":
            crash_point.arm(None)
            away = served.author.remote.with_name("away.git")
            served.author.remote.rename(away)
            roll_back(served.workspace(APPROVER), "helper", "nonsense", stage="canary")
            away.rename(served.author.remote)

    crash_point.arm(roll_back_meanwhile)
    apply_plan(promoter, planned, MANAGER[1])
    assert "Promote helper@1.2.0 prod [skip ci]" in served.log()
    assert len(served.table().overlay["helper"]) == 1
    routes = served.routes()
    assert (routes.prod.version, routes.canary, routes.previous.version) == ("1.1.0", None, "1.0.0")
    assert served.reconcile().drift == []
    routes = served.routes()
    assert (routes.prod.version, [one.version for one in routes.dev]) == ("1.1.0", ["1.2.0"])
    assert served.table().overlay == {}


def test_two_rollbacks_of_one_release_are_one(served: World) -> None:
    workspace = served.workspace(MANAGER)
    table = served.table()
    roll_back(workspace, "helper", "first", keep=True)

    def stale(current: Any, agent: str, spec: Any) -> Any:
        raise AssertionError("never called")

    assert table.generation < served.table().generation
    with pytest.raises(Refused, match="no previous version"):
        roll_back(served.workspace(MANAGER), "helper", "second")
    assert served.routes().quarantined == []
    assert stale is not None


def test_what_moved_meanwhile_is_a_conflict(served: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.release import rollback

    workspace = served.workspace(MANAGER)
    seen = workspace.releases.newest_table()
    roll_back(served.workspace(APPROVER), "helper", "first")
    monkeypatch.setattr(rollback, "require_table", lambda *_: seen)
    with pytest.raises(Conflict, match=r"it was 1\.1\.0 .* and is 1\.0\.0"):
        roll_back(workspace, "helper", "second")


def test_to_names_only_what_stood_in_prod(served: World) -> None:
    served.add("helper", "1.2.0")
    served.to_prod("helper", "1.2.0")
    served.add("helper", "1.3.0")
    served.reconcile()
    with pytest.raises(Refused, match="never stood in prod"):
        roll_back(served.workspace(MANAGER), "helper", "bad", to="1.3.0")
    with pytest.raises(WrongUse):
        roll_back(served.workspace(MANAGER), "helper", "bad", to="1.0.0", stage="canary")
    roll_back(served.workspace(MANAGER), "helper", "bad", to="1.0.0")
    routes = served.routes()
    assert (routes.prod.version, routes.previous, routes.deprecated) == ("1.0.0", None, ["1.1.0"])
    with pytest.raises(Refused, match="is quarantined"):
        roll_back(served.workspace(MANAGER), "helper", "bad", to="1.2.0")


def test_who_has_no_right_is_refused(served: World) -> None:
    workspace = served.workspace(("Eve", "eve@example.org"))
    with pytest.raises(Refused, match=r"eve@example\.org may not rollback"):
        roll_back(workspace, "helper", "mine")
    with pytest.raises(WrongUse, match="reason"):
        roll_back(served.workspace(MANAGER), "helper", "  ")
    assert served.table().overlay == {}


def unmet_kinds(here: World) -> list[str]:
    return [one.kind for one in plan_promotion(here.workspace(MANAGER), ("helper", "1.1.0", "canary")).unmet]


def test_hold_and_quarantine_stand_in_the_way_until_they_are_lifted(served: World) -> None:
    bad = served.routes().prod.release
    roll_back(served.workspace(MANAGER), "helper", "nonsense")
    served.approve("helper", "1.1.0", "canary", APPROVER)
    served.reconcile()
    assert unmet_kinds(served) == ["hold", "quarantine"]
    unhold(served.workspace(MANAGER), "helper", "mended")
    assert unmet_kinds(served) == ["quarantine"]
    unquarantine(served.workspace(MANAGER), bad[:20], "it was the provider")
    assert unmet_kinds(served) == []
    promote(served.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    assert served.routes().canary.version == "1.1.0"


def test_a_hold_keeps_automatic_moves_back(served: World) -> None:
    roll_back(served.workspace(MANAGER), "helper", "nonsense")
    served.add("helper", "1.2.0")
    [move] = served.reconcile().moves
    assert (move.moved, "held by manager@example.org" in move.why) == (False, True)
    unhold(served.workspace(MANAGER), "helper", "over")
    assert [one.moved for one in served.reconcile().moves] == [True]


def test_an_overlay_that_says_what_the_file_says_is_dropped(served: World) -> None:
    publish_urgent(served.workspace(MANAGER), "note", {"helper": lambda _table, _agent, spec: spec}, "nothing")
    assert len(served.table().overlay["helper"]) == 1
    workspace = served.workspace(MANAGER)
    publish_head(workspace, workspace.fetch(), Cause("reconcile", "x"))
    assert served.table().overlay == {}


def test_a_store_in_a_folder_is_what_the_test_says(served: World) -> None:
    assert Path(served.workspace(MANAGER).releases.url) == served.home / "releases"


def test_the_catalog_says_where_versions_stand_before_and_after(served: World) -> None:
    from penstock.store.catalog import Catalog

    def stages() -> dict[str, str]:
        rows = Catalog(served.workspace(MANAGER).database).rows(kind="Agent")
        return {row.version: row.stage for row in rows if row.name == "helper"}

    before = stages()
    assert before["1.1.0"] == "prod"
    roll_back(served.workspace(MANAGER), "helper", "bad", stage="prod")
    assert stages() == {**before, "1.1.0": "dev", "1.0.0": "prod"}
