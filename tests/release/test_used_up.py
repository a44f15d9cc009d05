"""What is logged is one act: a commit that brings an urgent change or an override a second time does not resolve."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.release import lifecycle
from penstock.release.clock import now, stamp
from penstock.release.driver import promote
from penstock.release.move import Move
from penstock.release.overlaid import overlaid, stages_in_force
from penstock.release.plan import DRAIN
from penstock.release.rollback import roll_back
from penstock.release.stages_file import read_stages, stages_path, write_stages
from penstock.release.stops import change_status, hold, unhold

World = Any
MANAGER = ("Mia Manager", "manager@example.org")


def push(here: World, content: bytes, move: Move) -> None:
    """A commit as the bot would make it, pushed by somebody who may push and nothing else."""
    workspace = here.workspace(MANAGER)
    head = workspace.fetch()
    path = stages_path("helper")
    commit = workspace.repository.write_commit(head, {path: content}, move.message(), workspace.bot)
    workspace.repository.push(commit, "main", expected=head)


def require_kept(here: World, before: Any, why: str) -> None:
    """The forged commit is drift, and the table says what it said; the trusted file can be brought back."""
    drift = here.reconcile().drift
    assert why in " ".join(drift)
    assert here.routes() == before
    assert here.cli(MANAGER, "reconcile", "--restore", "helper") == 0
    assert here.reconcile().drift == []


@pytest.fixture
def served(world: Callable[..., World]) -> World:
    """helper 1.1.0 in prod, 1.0.0 previous."""
    here = world()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_prod("helper", "1.1.0")
    return here


def test_an_urgent_change_is_written_down_once(served: World) -> None:
    here = served
    change_status(here.workspace(MANAGER), "freeze", "helper", "smoke")
    change_status(here.workspace(MANAGER), "thaw", "helper", "it was steam")
    released = here.workspace(MANAGER).releases
    thaw = next(
        entry
        for number in released.generations()
        for entry in released.table(number).overlay.get("helper", ())
        if entry.reason == "it was steam"
    )
    change_status(here.workspace(MANAGER), "freeze", "helper", "fire")
    before = here.routes()
    spec = read_stages(here.stages_text().encode(), "stages")
    push(here, write_stages("helper", overlaid(spec, thaw)), Move("thaw", "helper", overlay=thaw.id))
    require_kept(here, before, "is not in force: it never was, or it is written down already")
    assert here.routes().status == "frozen"


def test_an_urgent_change_is_written_down_once_while_it_is_in_force(served: World) -> None:
    """Between its commit and its publication it is in force still, and may be copied all the same."""
    here = served
    away = here.author.remote.with_name("away.git")
    here.author.remote.rename(away)
    for _ in range(2):
        hold(here.workspace(MANAGER), "helper", "look closer")
    unhold(here.workspace(MANAGER), "helper", "seen")
    away.rename(here.author.remote)
    first, second, lift = here.table().overlay["helper"]
    spec = read_stages(here.stages_text().encode(), "stages")
    for entry in (first, second, lift, first):
        spec = overlaid(spec, entry)
        push(here, write_stages("helper", spec), Move("hold", "helper", overlay=entry.id))
    drift = here.reconcile().drift
    assert f"overlay {first.id} is written down already" in " ".join(drift)
    assert here.routes().hold is None


def test_an_override_is_used_once(served: World) -> None:
    here = served
    here.add("helper", "1.2.0")
    here.to_canary("helper", "1.2.0")
    promote(here.workspace(MANAGER), ("helper", "1.2.0", "prod"), override="the house burns")
    message = here.author.git("--git-dir", str(here.author.remote), "log", "-1", "--format=%B", "main")
    override = message.split("Override: ")[1].splitlines()[0]
    roll_back(here.workspace(MANAGER), "helper", "it burns more", stage="prod", keep=True)
    unhold(here.workspace(MANAGER), "helper", "over")
    promote(here.workspace(MANAGER), ("helper", "1.2.0", "canary"))
    before = here.routes()
    assert before.canary.version == "1.2.0"
    at = now()
    spec = stages_in_force(here.table(), "helper")
    forged = lifecycle.to_prod(spec, "1.2.0", until=stamp(at + DRAIN), now=stamp(at))
    push(here, write_stages("helper", forged), Move("promote", "helper", "1.2.0", "prod", override=override))
    require_kept(here, before, f"override {override} was used by commit")
