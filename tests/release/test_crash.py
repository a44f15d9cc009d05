"""kill -9 between any two steps of apply and publish: afterwards `reconcile` comes to the one right state."""

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from penstock.release import crash_point
from penstock.release.driver import promote
from penstock.release.lifecycle import place_of
from penstock.release.overlaid import stages_in_force
from penstock.release.rollback import roll_back
from penstock.release.stages_file import read_stages
from penstock.release.stops import unhold
from penstock.store.folder import FolderStore

World = Any
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
# 100 kills in every run; 1,000 where there is time, in shares that run side by side.
SHARES = [
    pytest.param(100, id="100", marks=pytest.mark.xdist_group("crash")),
    *(
        pytest.param(250, id=f"share-{share}", marks=[pytest.mark.servers, pytest.mark.xdist_group(f"crash-{share}")])
        for share in range(4)
    ),
]
KILLED = -signal.SIGKILL


class Killer:
    """Ends the process at the n-th step: before and after each object that is created, and between Git's steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, point: str) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(step: int, action: Callable[[], object]) -> int:
    """Runs `action` in a process forked from this warm one and kills it at `step`; returns its status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            killer = Killer(step)
            crash_point.arm(killer)
            create = FolderStore.create

            def watched(self: FolderStore, name: str, data: bytes) -> bool:
                killer(f"before {name}")
                created = create(self, name, data)
                killer(f"after {name}")
                return created

            FolderStore.create = watched  # type: ignore[method-assign]
            action()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, found = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(found)


def state(here: World) -> tuple[str | None, bool]:
    """Where 1.1.0 stands by the table in force, and whether the agent is held."""
    spec = stages_in_force(here.table(), "helper")
    return place_of(spec, "1.1.0"), spec.hold is not None


def require_whole(here: World, acknowledged: int) -> None:
    """After `reconcile`: every table is whole, none is lost, and Git, the table and no overlay say the same."""
    done = here.reconcile()
    assert done.drift == []
    releases = here.workspace(MANAGER).releases
    newest = max(releases.generations())
    assert releases.table(newest) == here.table()
    assert newest >= acknowledged
    assert here.table().overlay == {}
    assert stages_in_force(here.table(), "helper") == read_stages(here.stages_text().encode(), "stages")


@pytest.mark.parametrize("rounds", SHARES)
def test_a_crash_anywhere_ends_in_one_right_state(world: Callable[..., World], rounds: int) -> None:
    here = world()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.reconcile()
    here.approve("helper", "1.1.0", "canary", APPROVER)
    here.clone(MANAGER)

    def to_canary() -> None:
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))

    def back() -> None:
        roll_back(here.workspace(MANAGER), "helper", "bad", stage="canary", keep=True)

    def lift() -> None:
        unhold(here.workspace(MANAGER), "helper", "over")

    moves = [(to_canary, ("canary", False)), (back, ("dev", True)), (lift, ("dev", False))]
    steps = dict.fromkeys(range(len(moves)), 0)
    kills = done = 0
    while kills < rounds:
        index = done % len(moves)
        action, wanted = moves[index]
        before, commits, generation = state(here), len(here.log()), here.table().generation
        outcome = killed_at(steps[index], action)
        assert outcome in {0, KILLED}
        kills += outcome == KILLED
        # A process that came through has used up this move's steps: start over, so that all moves see all steps.
        steps[index] = 0 if outcome == 0 else steps[index] + 1
        require_whole(here, generation)
        assert state(here) in {before, wanted}
        assert len(here.log()) - commits == (state(here) == wanted)
        if state(here) == before:
            action()
            require_whole(here, generation)
        assert (state(here), len(here.log()) - commits) == (wanted, 1)
        done += 1
