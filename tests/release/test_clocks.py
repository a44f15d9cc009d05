"""Clocks that are wrong: a promoter's, an approver's, a ticker's, minutes and hours off, and one that steps midway."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from penstock.errors import Refused
from penstock.release import crash_point
from penstock.release.canary import tick
from penstock.release.clock import moment_of
from penstock.release.driver import promote
from penstock.release.reconcile import reconcile
from penstock.release.rollback import roll_back
from penstock.release.stops import unhold
from penstock.routing.table import Caller, RoutingTable

World = Any
Clock = Any
APPROVER, MANAGER = ("Ben Approver", "approver@example.org"), ("Mia Manager", "manager@example.org")
OFF = [timedelta(minutes=-7), timedelta(minutes=7), timedelta(hours=-5), timedelta(hours=5)]
PIPELINE = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: quality}]}
    canary: {approvals: [{from: owners, count: 1}]}
    prod: {approvals: [{from: releaseManagers, count: 1, validHours: 24}]}
  canary: {steps: [{percent: 5, soak: 1h}, {percent: 50}]}
"""


@pytest.fixture
def here(world: Callable[..., World], clock: Clock) -> World:
    """helper 1.0.0 in prod, 1.1.0 in dev with all approvals."""
    made = world(files={"pipelines/release.yaml": PIPELINE})
    made.to_prod("helper", "1.0.0")
    made.add("helper", "1.1.0")
    made.reconcile()
    made.approve("helper", "1.1.0", "canary", APPROVER)
    made.approve("helper", "1.1.0", "prod", MANAGER)
    return made


def ticked(here: World) -> Any:
    workspace = here.workspace(MANAGER)
    reconcile(workspace, moves=False)
    (found,) = tick(workspace)
    return found


@pytest.mark.parametrize("off", [OFF[0], OFF[3]], ids=str)
def test_a_promoter_whose_clock_is_wrong_publishes_what_every_other_agrees_to(
    here: World, clock: Clock, off: timedelta
) -> None:
    clock.jumped += off
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    clock.jumped -= off
    assert here.reconcile().drift == []
    first = ticked(here)
    clock.jump(hours=7)
    assert first.did == "advanced" or ticked(here).did == "advanced", "a clock that is ahead only lets a step wait"
    assert here.routes().canary.step == 2
    clock.jump(hours=6)
    clock.jumped += off
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"))
    clock.jumped -= off
    (drains,) = here.routes().draining
    made = moment_of(drains.until)
    assert made is not None
    assert abs(made - clock() - off - timedelta(hours=24)) < timedelta(minutes=5)
    pinned = here.routes().previous.release
    caller = Caller("t", "u", "s", "r")
    assert RoutingTable(here.table()).select("helper", caller, pinned).release == pinned, "sessions drain still"
    assert here.reconcile().drift == []


def test_a_promoter_whose_clock_is_ahead_of_an_approval_s_end_is_refused(here: World, clock: Clock) -> None:
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    clock.jump(hours=2)
    assert ticked(here).did == "advanced"
    clock.jump(hours=23)
    with pytest.raises(Refused, match="it expired at"):
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"))
    assert here.routes().prod.version == "1.0.0"
    assert here.reconcile().drift == []
    clock.jump(hours=-23)
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"))


@pytest.mark.parametrize("off", [OFF[1], OFF[2]], ids=str)
def test_an_approver_whose_clock_is_wrong(here: World, clock: Clock, off: timedelta) -> None:
    """An approval of the future counts at once, and none counts for longer than it says."""
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    clock.jump(hours=26)
    assert ticked(here).did == "advanced"
    clock.jumped += off
    here.approve("helper", "1.1.0", "prod", MANAGER)
    clock.jumped -= off
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"))
    assert here.routes().prod.version == "1.1.0"
    assert here.reconcile().drift == []


def test_a_clock_that_steps_midway_leaves_no_commit_that_does_not_resolve(here: World, clock: Clock) -> None:
    points = ["evidence read again", "commit written", "commit pushed", "table read"]
    for number, point in enumerate(points):
        off = timedelta(minutes=30) if number % 2 else timedelta(hours=-1)
        with stepping(clock, point, off):
            promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
        assert here.routes().canary.version == "1.1.0"
        assert here.reconcile().drift == []
        back(here)


@contextlib.contextmanager
def stepping(clock: Clock, point: str, off: timedelta) -> Iterator[None]:
    """The clock steps by `off` at the first time that the point is reached; it must be."""
    stepped: list[str] = []

    def steps(reached: str) -> None:
        if reached == point and not stepped:
            stepped.append(reached)
            clock.jumped += off

    crash_point.arm(steps)
    try:
        yield
    finally:
        crash_point.arm(None)
    assert stepped


def back(here: World) -> None:
    """The canary's way back to dev, and the hold lifted."""
    assert roll_back(here.workspace(MANAGER), "helper", "bad", stage="canary", keep=True).pending == ""
    unhold(here.workspace(MANAGER), "helper", "over")


def test_a_step_whose_clock_jumps_midway_is_published(here: World, clock: Clock) -> None:
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    clock.jump(hours=2)

    with stepping(clock, "step's evidence stored", timedelta(hours=-4)):
        assert ticked(here).did == "advanced"
    assert here.reconcile().drift == []
    clock.jump(days=2)
    assert ticked(here).did == "done"


def test_a_rollback_needs_no_right_time(here: World, clock: Clock) -> None:
    for off in OFF:
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
        clock.jumped += off
        back(here)
        clock.jumped -= off
        assert here.reconcile().drift == []
        assert (here.routes().canary, here.routes().hold) == (None, None)


def test_a_clock_in_a_blackout_s_window_is_what_the_promoter_goes_by(here: World, clock: Clock) -> None:
    """Closed by the promoter's clock: refused, whatever the others' say; the commit is judged by its own time later."""
    at = clock() + timedelta(hours=5)
    window = f'[{{name: night, reason: asleep, cron: "0 {at.hour} * * *", duration: 1h, timeZone: UTC}}]'
    text = PIPELINE.replace("  canary: {steps", f"  blackouts: {window}\n  canary: {{steps")
    here.merge({"pipelines/release.yaml": text}, "Nights are quiet")
    here.reconcile()
    clock.jump(hours=5)
    with pytest.raises(Refused, match="blackout night: asleep"):
        promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    clock.jump(hours=-5)
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    clock.jump(hours=5)
    assert here.reconcile().drift == []
    assert here.routes().canary.version == "1.1.0"
