"""kill -9 between any two steps of apply, publish, advance and rollback: `reconcile` comes to the one right state."""

import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from penstock.release import crash_point
from penstock.release.canary import tick
from penstock.release.driver import promote
from penstock.release.lifecycle import place_of
from penstock.release.overlaid import stages_in_force
from penstock.release.reconcile import reconcile
from penstock.release.rollback import roll_back
from penstock.release.stages_file import read_stages
from penstock.release.stops import unhold
from penstock.store.folder import FolderStore

World = Any
State = tuple[str | None, int, bool]
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


def state(here: World) -> State:
    """Where 1.1.0 stands by the table in force, at which step of its canary (0: in none), and whether it is held."""
    spec = stages_in_force(here.table(), "helper")
    return place_of(spec, "1.1.0"), spec.canary.step if spec.canary is not None else 0, spec.hold is not None


def require_in_line(here: World, acknowledged: int) -> None:
    """Every table is whole, none is lost, and Git, the table and no overlay say the same."""
    releases = here.workspace(MANAGER).releases
    newest = max(releases.generations())
    table = releases.table(newest)
    assert table == releases.newest_table()
    assert newest >= acknowledged
    assert table.overlay == {}
    assert stages_in_force(table, "helper") == read_stages(here.stages_text().encode(), "stages")


def moves_of(here: World) -> list[tuple[Callable[[], object], State]]:
    """The moves that take 1.1.0 from dev to prod and back to dev, each with the state that it leaves."""

    def to_canary() -> None:
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))

    def advance() -> None:
        workspace = here.workspace(MANAGER)
        reconcile(workspace, moves=False)
        (found,) = tick(workspace)
        assert found.did == "advanced", found.why

    def to_prod() -> None:
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"))

    def back() -> None:
        roll_back(here.workspace(MANAGER), "helper", "bad", stage="prod", keep=True)

    def lift() -> None:
        unhold(here.workspace(MANAGER), "helper", "over")

    return [
        (to_canary, ("canary", 1, False)),
        (advance, ("canary", 2, False)),
        (to_prod, ("prod", 0, False)),
        (back, ("dev", 0, True)),
        (lift, ("dev", 0, False)),
    ]


@pytest.mark.parametrize("rounds", SHARES)
def test_a_crash_anywhere_ends_in_one_right_state(world: Callable[..., World], two_steps: str, rounds: int) -> None:
    here = world(files={"pipelines/release.yaml": two_steps})
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.reconcile()
    here.approve("helper", "1.1.0", "canary", APPROVER)
    here.approve("helper", "1.1.0", "prod", MANAGER)
    moves = moves_of(here)
    steps, over, passes = dict.fromkeys(range(len(moves)), 0), set[int](), 0
    kills = done = 0
    while kills < rounds:
        index = done % len(moves)
        action, wanted = moves[index]
        done += 1
        if index in over:  # it was killed at each of its points, others were not yet
            action()
            assert state(here) == wanted
            continue
        before, commits, generation = state(here), len(here.log()), here.table().generation
        outcome = killed_at(steps[index], action)
        assert outcome in {0, KILLED}
        kills += outcome == KILLED
        steps[index] += 1
        if outcome == 0:
            over.add(index)
            if len(over) == len(moves):
                steps, over, passes = dict.fromkeys(steps, 0), set(), passes + 1
        assert here.reconcile().drift == []
        require_in_line(here, generation)
        assert state(here) in {before, wanted}
        assert len(here.log()) - commits == (state(here) == wanted)
        if state(here) == before:
            action()
            require_in_line(here, generation)
        assert (state(here), len(here.log()) - commits) == (wanted, 1)
    assert passes, f"{rounds} kills did not come to every point: {steps}"
