"""Gates that people may open, the line that anybody may stop, holds by hand: who may, on what, and how long."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import Conflict, NotFound, Refused
from penstock.gates.context import GateContext
from penstock.gates.gate import GATES, Finding, gate
from penstock.release.approval import accept, decide
from penstock.release.driver import plan_promotion, promote
from penstock.release.line import start_line, stop_line
from penstock.release.person import Person
from penstock.release.stops import hold, unhold

World = Any
AUTHOR = ("Ada Author", "author@example.org")
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
STRANGER = ("Sam Stranger", "sam@example.org")
PIPELINE = "pipelines/release.yaml"
CANARY: Any = ("helper", "1.0.0", "canary")

if "unsure" not in GATES:

    @gate("unsure", revision=1)
    def unsure(context: GateContext) -> Finding:
        """Never decides."""
        return Finding("inconclusive", "3 of 30 cases")


def pipeline(here: World, canary: str) -> str:
    text: str = (here.author.root / PIPELINE).read_text()
    return text.replace("canary: {approvals: [{from: owners, count: 1}]}", f"canary: {{{canary}}}", 1)


@pytest.fixture
def unsure_world(world: Callable[..., World]) -> World:
    """helper 1.0.0 in dev; canary asks a gate that never decides and leaves it to people."""
    here = world()
    approvals = "approvals: [{from: owners, count: 1}]"
    here.merge({PIPELINE: pipeline(here, f"gates: [{{gate: unsure, inconclusive: person}}], {approvals}")})
    here.reconcile()
    here.measure(*CANARY)
    return here


def evidence(here: World) -> str:
    found: str = here.evidence(*CANARY)
    return found


def test_an_accepted_gate_opens_and_the_approval_is_still_to_come(unsure_world: World) -> None:
    here = unsure_world
    with pytest.raises(Refused, match="nothing to approve yet: unsure: 3 of 30 cases"):
        decide(here.workspace(APPROVER), CANARY, "approve", evidence(here), "fine")
    made = accept(here.workspace(APPROVER), CANARY, "unsure", evidence(here), "few users yet")
    assert (made.kind, made.gate, made.comment) == ("accept", "unsure", "few users yet")
    with pytest.raises(Refused, match="0 of 1 approvals") as refused:
        promote(here.workspace(MANAGER), CANARY)
    assert "unsure" not in str(refused.value)
    decide(here.workspace(APPROVER), CANARY, "approve", evidence(here), "fine")
    promote(here.workspace(MANAGER), CANARY)
    trailers = here.author.git("--git-dir", str(here.author.remote), "log", "-1", "--format=%B", "main")
    assert made.evidence in trailers
    assert here.reconcile().drift == [], "the commit resolves for whoever judges it"


def test_the_judge_asks_for_the_acceptance_as_well(unsure_world: World) -> None:
    """A commit whose evidence holds an inconclusive result, with nobody who accepted it, is never published."""
    here = unsure_world
    made = accept(here.workspace(APPROVER), CANARY, "unsure", evidence(here), "few users yet")
    decide(here.workspace(APPROVER), CANARY, "approve", evidence(here), "fine")
    promote(here.workspace(MANAGER), CANARY)
    releases = here.workspace(MANAGER).releases
    name = f"approvals/{made.evidence[7:]}/{made.digest[7:]}.json"
    (here.home / "releases" / name).unlink()
    for table in sorted((here.home / "releases" / "routing").glob("0*.json"))[1:]:
        table.unlink()
    assert "opens nothing" in here.reconcile().drift[0]
    assert releases.newest_table().agents["helper"].canary is None


@pytest.mark.parametrize(
    ("who", "gate_name", "error", "what"),
    [
        (AUTHOR, "unsure", Refused, "wrote helper@1.0.0 and may not accept"),
        (STRANGER, "unsure", Refused, "sam@example.org may not accept"),
        (MANAGER, "unsure", Refused, "manager@example.org may not accept"),
        (APPROVER, "quality", Refused, "is passed, not inconclusive"),
        (APPROVER, "nosuch", NotFound, "gates are: quality, unsure"),
    ],
)
def test_who_may_accept_what(
    unsure_world: World, who: tuple[str, str], gate_name: str, error: type[Exception], what: str
) -> None:
    here = unsure_world
    with pytest.raises(error) as refused:
        accept(here.workspace(who), CANARY, gate_name, evidence(here), "why not")
    assert what in str(refused.value)


def test_a_gate_that_the_pipeline_leaves_to_nobody(world: Callable[..., World]) -> None:
    here = world()
    here.merge({PIPELINE: pipeline(here, "gates: [{gate: unsure}]")})
    here.reconcile()
    here.measure(*CANARY)
    with pytest.raises(Refused, match="leaves gate unsure to no person") as refused:
        accept(here.workspace(APPROVER), CANARY, "unsure", evidence(here), "why not")
    assert "{gate: unsure, inconclusive: person} does" in str(refused.value)


def test_an_acceptance_is_of_one_evidence(unsure_world: World) -> None:
    here = unsure_world
    old = evidence(here)
    accept(here.workspace(APPROVER), CANARY, "unsure", old, "few users yet")
    text = (here.author.root / PIPELINE).read_text()
    here.merge({PIPELINE: text.replace("gates: [{gate: unsure", "gates: [{gate: quality2}, {gate: unsure")})
    if "quality2" not in GATES:

        @gate("quality2", revision=1)
        def quality2(context: GateContext) -> Finding:
            """Passes."""
            return Finding("passed", "it does")

    here.measure(*CANARY)
    assert evidence(here) != old
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    assert "gate unsure: inconclusive" in " ".join(one.sentence for one in plan_promotion(workspace, CANARY).unmet)
    with pytest.raises(Conflict, match="other results of gate quality2"):
        accept(here.workspace(APPROVER), CANARY, "unsure", old, "few users yet")


def test_the_command_takes_a_comment_or_an_acceptance(unsure_world: World, capsys: pytest.CaptureFixture[str]) -> None:
    here = unsure_world
    report = evidence(here)
    subject = ("helper@1.0.0", "--to", "canary", "--report", report)
    assert here.cli(APPROVER, "approve", *subject) == 2
    assert here.cli(APPROVER, "approve", *subject, "--accept", "unsure") == 2
    assert here.cli(APPROVER, "approve", *subject, "--accept", "unsure", "--reason", "r", "--comment", "c") == 2
    capsys.readouterr()
    assert here.cli(APPROVER, "approve", *subject, "--accept", "unsure", "--reason", "few users", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["gate"], document["comment"]) == ("accept", "unsure", "few users")


def test_anybody_stops_the_line_and_a_manager_starts_it(world: Callable[..., World]) -> None:
    here = world()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.reconcile()
    here.approve("helper", "1.1.0", "canary", APPROVER)
    stop_line(here.workspace(AUTHOR), "something smells")
    for override in (None, "I want it"):
        with pytest.raises(Refused, match=r"the line was stopped by author@example.org.*something smells"):
            promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"), override=override)
    here.add("helper", "1.2.0")
    (move,) = here.reconcile().moves
    assert "something smells" in move.why, "automatic moves stand still as well"
    with pytest.raises(Refused, match="may not start the line"):
        start_line(here.workspace(AUTHOR), "all clear")
    assert start_line(here.workspace(MANAGER), "all clear").stops == ()
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "canary"))
    with pytest.raises(Refused, match="the line is not stopped"):
        start_line(here.workspace(MANAGER), "again")


def test_a_stranger_does_not_stop_the_line(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    with pytest.raises(Refused, match=r"sam@example.org may not stop the line"):
        stop_line(here.workspace(STRANGER), "for fun")


def test_the_line_stops_while_git_is_away(world: Callable[..., World]) -> None:
    here = world()
    here.to_prod("helper", "1.0.0")
    workspace = here.workspace(MANAGER)
    assert here.author.remote is not None
    here.author.remote.rename(here.home / "away.git")
    assert [stop.reason for stop in stop_line(workspace, "git is on fire").stops] == ["git is on fire"]


def test_a_hold_by_hand_keeps_promotions_and_goes_with_unhold(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.approve("helper", "1.0.0", "canary", APPROVER)
    hold(here.workspace(APPROVER), "helper", "I look into it")
    with pytest.raises(Refused, match=r"held by approver@example.org.*I look into it"):
        promote(here.workspace(MANAGER), CANARY)
    unhold(here.workspace(APPROVER), "helper", "nothing there")
    promote(here.workspace(MANAGER), CANARY)
    assert here.routes().canary is not None


def test_hold_takes_an_agent_or_the_whole_project(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    assert here.cli(MANAGER, "hold", "--reason", "x") == 2
    assert here.cli(MANAGER, "hold", "helper", "--all", "--reason", "x") == 2
    assert here.cli(MANAGER, "hold", "--all", "--reason", "x", "--json") == 0
    assert here.cli(MANAGER, "unhold", "--all") == 0
    assert here.cli(MANAGER, "unhold", "--all") == 1


def test_who_acts_and_how_that_is_known_is_on_record(unsure_world: World) -> None:
    here = unsure_world
    workspace = here.workspace(MANAGER).acting_as(Person("Ben", APPROVER[1], "gitlab"))
    made = accept(workspace, CANARY, "unsure", evidence(here), "by the merge request")
    assert (made.who, made.name, made.identified_by) == (APPROVER[1], "Ben", "gitlab")
