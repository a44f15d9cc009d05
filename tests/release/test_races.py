"""Two who act at once, from clones of their own: one outcome, and who came second is told so."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import PenstockError
from penstock.release import crash_point
from penstock.release.apply import apply_plan
from penstock.release.canary import tick
from penstock.release.driver import plan_promotion, promote
from penstock.release.overlaid import stages_in_force
from penstock.release.reconcile import reconcile
from penstock.release.rollback import roll_back
from penstock.release.stages_file import read_stages
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings

World = Any
Act = Callable[[Any], object]
APPROVER, MANAGER = ("Ben Approver", "approver@example.org"), ("Mia Manager", "manager@example.org")


@pytest.fixture
def here(world: Callable[..., World], two_steps: str) -> World:
    """helper 1.0.0 in prod, 1.1.0 at the last step of its canary, 1.2.0 in dev; all that is asked for is approved."""
    made = world(files={"pipelines/release.yaml": two_steps})
    made.to_prod("helper", "1.0.0")
    for version in ("1.1.0", "1.2.0"):
        made.add("helper", version)
    made.to_canary("helper", "1.1.0")
    made.approve("helper", "1.2.0", "canary", APPROVER)
    made.approve("helper", "1.1.0", "prod", MANAGER)
    return made


def at_once(here: World, *acts: Act) -> list[str]:
    """What each of them ended as: what it returned, or the error's type. Each has fetched before any begins."""
    clones = [here.author.clone(here.home / f"clone-{number}", MANAGER) for number in range(len(acts))]
    workspaces = [open_workspace(load_settings(clone.root)) for clone in clones]
    for workspace in workspaces:
        workspace.fetch()
    together, ends = threading.Barrier(len(acts)), [""] * len(acts)

    def run(number: int) -> None:
        together.wait(60)
        try:
            ends[number] = str(acts[number](workspaces[number]))
        except PenstockError as error:
            ends[number] = type(error).__name__

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert all(ends), ends
    return ends


def require_one_story(here: World) -> None:
    """Git, the table and what is reported agree, once whatever was pending is written down."""
    assert here.reconcile().drift == []
    assert here.table().overlay == {}
    assert stages_in_force(here.table(), "helper") == read_stages(here.stages_text().encode(), "stages")


def to(version: str, stage: Any) -> Act:
    def act(workspace: Any) -> object:
        promote(workspace, ("helper", version, stage))
        return "done"

    return act


def back(stage: str) -> Act:
    def act(workspace: Any) -> object:
        roll_back(workspace, "helper", "bad answers", stage=stage, keep=True)
        return "done"

    return act


def step(workspace: Any) -> object:
    reconcile(workspace, moves=False)
    return ", ".join(one.did for one in tick(workspace)) or "nothing"


SECOND = {"Conflict", "Refused"}


def test_two_to_the_same_stage(here: World) -> None:
    """One of them promotes; the other finds that it stands there already."""
    step(here.workspace(MANAGER))
    ends = at_once(here, to("1.1.0", "prod"), to("1.1.0", "prod"))
    assert "done" in ends
    assert set(ends) <= {"done", *SECOND}
    assert (here.routes().prod.version, here.routes().canary) == ("1.1.0", None)
    assert len([line for line in here.log() if line.startswith("Promote helper@1.1.0 prod")]) == 1
    require_one_story(here)


def test_two_to_different_stages(here: World) -> None:
    """1.1.0 to prod against 1.2.0 to canary: in either order, but never half of each."""
    step(here.workspace(MANAGER))
    first, second = at_once(here, to("1.1.0", "prod"), to("1.2.0", "canary"))
    assert "done" in {first, second}
    assert {first, second} <= {"done", *SECOND}
    routes = here.routes()
    assert (routes.prod.version == "1.1.0") == (first == "done")
    assert (routes.canary is not None and routes.canary.version == "1.2.0") == (second == "done")
    require_one_story(here)


def test_a_promotion_against_a_rollback(here: World) -> None:
    """Whoever is first: what is rolled back does not answer, and a hold stands."""
    step(here.workspace(MANAGER))
    first, second = at_once(here, to("1.1.0", "prod"), back("canary"))
    routes = here.routes()
    if second == "done":
        assert routes.hold is not None
        assert (routes.prod.version, routes.canary) == ("1.0.0", None)
        assert first in {"done", *SECOND}
    else:
        assert first == "done"
        assert second in SECOND
        assert (routes.prod.version, routes.hold) == ("1.1.0", None)
    require_one_story(here)
    assert here.routes().prod.version == routes.prod.version


def test_a_step_against_a_rollback(here: World) -> None:
    ticked, rolled = at_once(here, step, back("canary"))
    assert rolled == "done"
    assert ticked in {"advanced", "errored", "waiting", "nothing", *SECOND}
    assert (here.routes().canary, here.routes().hold is not None) == (None, True)
    require_one_story(here)
    assert here.routes().canary is None


def test_a_step_against_a_promotion_to_prod(here: World) -> None:
    """The step is what the promotion waits for, so it goes first or the promotion is refused."""
    ticked, promoted = at_once(here, step, to("1.1.0", "prod"))
    assert ticked == "advanced" or promoted == "done"
    assert promoted in {"done", *SECOND}
    assert ticked in {"advanced", "errored", "nothing", "done", "waiting", *SECOND}
    assert here.routes().prod.version == ("1.1.0" if promoted == "done" else "1.0.0")
    require_one_story(here)


def test_who_planned_before_another_published_fetches_and_goes_on(world: Callable[..., World]) -> None:
    """Another agent's promotion came in between: a table that is ahead of the clone is no error."""
    here = world("helper", "other")
    here.reconcile()
    for agent in ("helper", "other"):
        here.approve(agent, "1.0.0", "canary", APPROVER)
    here.clone(MANAGER)
    slow = here.workspace(APPROVER)
    slow.fetch()
    planned = plan_promotion(slow, ("helper", "1.0.0", "canary"))
    promote(here.workspace(MANAGER), ("other", "1.0.0", "canary"))
    apply_plan(slow, planned, APPROVER[1])
    assert {here.routes(agent).canary.version for agent in ("helper", "other")} == {"1.0.0"}
    require_one_story(here)


def test_who_published_first_does_not_fail_the_other(world: Callable[..., World]) -> None:
    """Between a promotion's push and its publication another one published both: that is what is in force."""
    here = world("helper", "other")
    here.reconcile()
    for agent in ("helper", "other"):
        here.approve(agent, "1.0.0", "canary", APPROVER)
    here.clone(MANAGER)
    others: list[int] = []

    def meanwhile(point: str) -> None:
        if point == "commit pushed" and not others:
            others.append(1)
            promote(here.workspace(MANAGER), ("other", "1.0.0", "canary"))

    crash_point.arm(meanwhile)
    try:
        promote(here.workspace(APPROVER), ("helper", "1.0.0", "canary"))
    finally:
        crash_point.arm(None)
    assert {here.routes(agent).canary.version for agent in ("helper", "other")} == {"1.0.0"}
    require_one_story(here)
