"""Canaries step by step: what a tick does, when, and that it may be killed, raced and repeated."""

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from penstock.errors import NotFound, PenstockError, Refused, WrongUse
from penstock.release.canary import Ticked, advance_by_hand, tick
from penstock.release.canary_step import LIVE_ANALYSIS
from penstock.release.clock import moment_of
from penstock.release.driver import plan_promotion, promote
from penstock.release.line import start_line, stop_line
from penstock.release.stops import hold, unhold
from penstock.store.folder import FolderStore

World = Any
Clock = Any
AUTHOR = ("Ada Author", "author@example.org")
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
STEPS = "[{percent: 5, soak: 1h, minSessions: 20, allow: {tenants: [acme]}}, {percent: 25, soak: 2h}, {percent: 50}]"
PIPELINE = "pipelines/release.yaml"


@pytest.fixture
def growing(world: Callable[..., World], clock: Clock) -> World:
    """helper 1.0.0 in prod and 1.1.0 just come to the first of three steps."""
    here = world()
    text = (here.author.root / PIPELINE).read_text()
    here.merge({PIPELINE: text.replace("steps: [{percent: 20}]", f"steps: {STEPS}")}, "Three steps")
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_canary("helper", "1.1.0")
    return here


def ticked(here: World, **options: Any) -> Ticked:
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    (found,) = tick(workspace, **options)
    return found


def canary(here: World) -> Any:
    found = here.routes().canary
    assert found is not None
    return found


def meet(here: World, clock: Clock, *, canaries: int = 25, prods: int = 100, failed: int = 0, at: Any = None) -> None:
    """Live sessions on both sides since now."""
    at = at or clock()
    here.sessions("helper", "canary", canaries, failed=failed, at=at)
    here.sessions("helper", "prod", prods, at=at)


def test_the_first_step_is_the_declared_one(growing: World) -> None:
    found = canary(growing)
    assert (found.step, found.weight_bp, found.allow["tenants"], found.began) == (1, 500, ["acme"], "")
    assert "{tenants: [acme], users: [], sessions: []}}\n" in growing.stages_text(), "the file says who is allowed"


def test_a_step_waits_for_soak_and_sessions_and_each_is_a_commit(growing: World, clock: Clock) -> None:
    here, began = growing, canary(growing).since
    meet(here, clock, canaries=19)
    waits = ticked(here)
    assert waits.did == "waiting"
    assert "step 1 of 3 (5 %) soaks until" in waits.why
    assert "met 0 of 20 sessions" in waits.why, "sessions that may still go on do not count yet"
    clock.jump(hours=1)
    assert ticked(here).why.startswith("step 1 of 3 met 19 of 20 sessions")
    here.sessions("helper", "canary", 1, at=clock() - timedelta(minutes=30))
    done = ticked(here)
    assert (done.did, canary(here).step, canary(here).weight_bp) == ("advanced", 2, 2500)
    assert canary(here).allow["tenants"] == ["acme"], "who was allowed is not thrown back"
    assert canary(here).began == began
    assert canary(here).salt == canary(here).release, "the salt stays, so nobody is thrown back"
    assert here.log()[0] == "Advance helper@1.1.0 canary [skip ci]"
    assert ticked(here).did == "waiting"
    clock.jump(hours=2)
    assert (ticked(here).did, canary(here).step) == ("advanced", 3)
    assert ticked(here).did == "done"
    assert here.reconcile().drift == []


def test_a_steps_commit_rests_on_evidence_in_the_store(growing: World, clock: Clock) -> None:
    here = growing
    meet(here, clock)
    clock.jump(hours=1)
    ticked(here)
    body = here.author.git("--git-dir", str(here.author.remote), "log", "-1", "--format=%B", "main")
    digest = body.split("Evidence: ")[1].splitlines()[0]
    releases = here.workspace(MANAGER).releases
    (result,) = [releases.get_result(name) for name in releases.get_evidence(digest).results]
    assert (result.gate, result.outcome, result.parameters["step"]) == (LIVE_ANALYSIS, "passed", 1)
    assert result.baseline == here.routes().prod.release


def test_a_forged_step_is_not_published(growing: World, clock: Clock) -> None:
    """The bot's address and the right file do not help: no evidence allowed the step."""
    from penstock.release import lifecycle
    from penstock.release.canary_step import share_at
    from penstock.release.clock import stamp
    from penstock.release.move import Move
    from penstock.release.stages_file import read_stages, write_stages

    here = growing
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    pipeline = workspace.registry(workspace.base_head()).pipeline
    assert pipeline is not None
    spec = read_stages(here.stages_text().encode(), "stages")
    forged = write_stages("helper", lifecycle.advance(spec, share_at(pipeline, 2), stamp(clock())))
    for evidence, why in (("", "is not in the release store"), (newest_evidence(here), "of another")):
        move = Move("advance", "helper", "1.1.0", "canary", evidence=evidence)
        head = workspace.base_head()
        path = "registry_repo/stages/helper.yaml"
        commit = workspace.repository.write_commit(head, {path: forged}, move.message(), workspace.bot)
        workspace.repository.push(commit, "main", expected=head)
        drift = " ".join(here.reconcile().drift)
        assert why in drift or "does not resolve" in drift
        assert canary(here).step == 1
        assert here.cli(MANAGER, "reconcile", "--restore", "helper") == 0
        workspace.fetch()


def newest_evidence(here: World) -> str:
    names: list[str] = here.workspace(MANAGER).releases.evidence_names()
    return names[-1]


def test_a_worse_canary_is_rolled_back_held_and_quarantined(growing: World, clock: Clock) -> None:
    here = growing
    release = canary(here).release
    meet(here, clock, canaries=40, failed=30, prods=200)
    clock.jump(minutes=10)
    found = ticked(here)
    assert found.did == "aborted"
    assert "of runs did not finish" in found.why
    routes = here.routes()
    assert (routes.canary, routes.quarantined) == (None, [release])
    assert routes.hold is not None
    assert routes.hold["by"] == "bot@penstock.invalid"
    assert routes.hold["reason"].startswith("live analysis: success:")
    assert here.workspace(MANAGER).releases.newest_table().overlay == {}, "its commit is written too"
    assert tick(here.workspace(MANAGER)) == [], "and there is nothing more to do"


def test_a_dry_run_metric_is_watched_and_aborts_nothing(growing: World, clock: Clock) -> None:
    here = growing
    text = (here.author.root / PIPELINE).read_text()
    watched = "analysis: {metrics: [{metric: success, dryRun: true}, {metric: feedback}]}"
    here.merge({PIPELINE: text.replace("50}]}", f"50}}], {watched}}}")}, "Only watch")
    meet(here, clock, canaries=40, failed=30, prods=200)
    clock.jump(minutes=10)
    found = ticked(here)
    assert found.did == "waiting"
    assert found.rollout is not None
    (success, _) = found.rollout.analysis.as_document()["metrics"]
    assert (success["outcome"], success["dryRun"]) == ("failed", True)


def test_too_little_traffic_by_the_deadline_asks_a_person(growing: World, clock: Clock) -> None:
    here = growing
    meet(here, clock, canaries=3)
    clock.jump(days=7, minutes=1)
    found = ticked(here)
    assert found.did == "held"
    assert "met 3 of 20 sessions" in found.why
    assert canary(here).step == 1, "a hold leaves what answers"
    assert ticked(here).did == "waiting"
    unhold(here.workspace(MANAGER), "helper", "wait another week")
    assert ticked(here).did == "waiting", "the deadline counts anew"
    clock.jump(days=7, minutes=1)
    assert ticked(here).did == "held"


def test_a_release_manager_goes_on_without_the_sessions(growing: World, clock: Clock) -> None:
    here = growing
    clock.jump(hours=1)
    with pytest.raises(Refused, match=r"approver@example.org may not override"):
        advance_by_hand(here.workspace(APPROVER), "helper", "enough")
    found = advance_by_hand(here.workspace(MANAGER), "helper", "enough")
    assert (found.did, canary(here).step) == ("advanced", 2)
    assert here.reconcile().drift == []
    request = here.workspace(MANAGER).releases.requests()[-1]
    assert (request.action, request.who) == ("advance", MANAGER[1])
    assert "met 0 of 20 sessions" in " ".join(request.parameters["unmet"])
    hold(here.workspace(MANAGER), "helper", "stop")
    with pytest.raises(Refused, match="held by"):
        advance_by_hand(here.workspace(MANAGER), "helper", "enough")
    with pytest.raises(NotFound):
        advance_by_hand(here.workspace(MANAGER), "nobody", "enough")


def test_hold_line_and_blackout_keep_a_step(growing: World, clock: Clock) -> None:
    here = growing
    meet(here, clock)
    clock.jump(hours=1)
    stop_line(here.workspace(AUTHOR), "smoke")
    assert "the line was stopped" in ticked(here).why
    start_line(here.workspace(MANAGER), "over")
    hold(here.workspace(MANAGER), "helper", "look")
    assert "held by" in ticked(here).why
    unhold(here.workspace(MANAGER), "helper", "over")
    text = (here.author.root / PIPELINE).read_text().rstrip()
    here.merge({PIPELINE: f'{text}\n  blackouts: [{{name: b, cron: "* * * * *", duration: 1h, reason: sale}}]\n'})
    assert "sale" in ticked(here).why
    assert canary(here).step == 1


def test_an_error_is_no_verdict(growing: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    here = growing
    clock.jump(hours=1)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "sqlite:////dev/null/store.db")
    found = ticked(here)
    assert (found.did, found.failed) == ("errored", True)
    assert canary(here).step == 1


def test_prod_waits_for_the_last_step(growing: World, clock: Clock) -> None:
    here = growing
    here.live_runs("helper", 2)
    here.measure("helper", "1.1.0", "prod")
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    planned = plan_promotion(workspace, ("helper", "1.1.0", "prod"))
    assert "the canary stands at step 1 of 3: 2 more before prod" in [one.sentence for one in planned.unmet]
    for _ in range(2):
        advance_by_hand(here.workspace(MANAGER), "helper", "enough")
    here.measure("helper", "1.1.0", "prod")
    here.approve("helper", "1.1.0", "prod", MANAGER)
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"))
    assert here.routes().prod.version == "1.1.0"
    assert here.reconcile().drift == []


def test_an_override_to_prod_jumps_the_steps(growing: World) -> None:
    here = growing
    promote(here.workspace(MANAGER), ("helper", "1.1.0", "prod"), override="the old one is broken")
    assert here.routes().prod.version == "1.1.0"
    assert here.reconcile().drift == []


def test_several_agents_grow_at_once_and_one_fault_leaves_the_others(world: Callable[..., World], clock: Clock) -> None:
    here = world("helper", "other")
    text = (here.author.root / PIPELINE).read_text()
    here.merge({PIPELINE: text.replace("[{percent: 20}]", "[{percent: 5}, {percent: 50}]")}, "Two steps")
    for agent in ("helper", "other"):
        here.to_prod(agent, "1.0.0")
        here.add(agent, "1.1.0")
        here.to_canary(agent, "1.1.0")
    path = "registry_repo/stages/other.yaml"
    here.merge({path: here.stages_text("other").replace("weightBp: 500", "weightBp: 9000")}, "By hand")
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    assert {one.agent: one.did for one in tick(workspace)} == {"helper": "advanced", "other": "waiting"}
    assert here.routes("other").canary.weight_bp == 500
    with pytest.raises(NotFound):
        tick(workspace, ["nobody"])


def test_two_ticks_at_once_make_one_step(growing: World, clock: Clock) -> None:
    here = growing
    meet(here, clock)
    clock.jump(hours=1)
    workspaces = [here.workspace(MANAGER), here.workspace(APPROVER)]
    outcomes: list[str] = []

    def run(workspace: Any) -> None:
        try:
            workspace.fetch()
            outcomes.extend(one.did for one in tick(workspace))
        except PenstockError as error:
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(one,)) for one in workspaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert canary(here).step == 2
    assert len([line for line in here.log() if line.startswith("Advance")]) == 1
    assert "advanced" in outcomes
    assert here.reconcile().drift == []


@pytest.mark.parametrize("after", range(6))
def test_a_tick_that_dies_anywhere_is_finished_by_the_next(
    growing: World, clock: Clock, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    here = growing
    meet(here, clock)
    clock.jump(hours=1)
    create, left = FolderStore.create, [after]

    def dying(self: FolderStore, name: str, data: bytes) -> bool:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return create(self, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(FolderStore, "create", dying)
        try:
            ticked(here)
        except KeyboardInterrupt:
            pass
        else:
            assert canary(here).step == 2
    here.reconcile()
    if canary(here).step == 1:
        assert ticked(here).did == "advanced"
    assert canary(here).step == 2
    assert len([line for line in here.log() if line.startswith("Advance")]) == 1
    assert here.reconcile().drift == []


def test_a_clock_that_went_back_moves_nothing_and_breaks_nothing(growing: World, clock: Clock) -> None:
    here = growing
    meet(here, clock)
    clock.jump(hours=-30)
    found = ticked(here)
    assert found.did == "waiting"
    clock.jump(hours=32)
    assert ticked(here).did == "advanced"
    assert here.reconcile().drift == []


def test_fewer_steps_than_the_canary_has_gone_is_its_last(growing: World, clock: Clock) -> None:
    here = growing
    for _ in range(2):
        advance_by_hand(here.workspace(MANAGER), "helper", "enough")
    text = (here.author.root / PIPELINE).read_text()
    here.merge({PIPELINE: text.replace(STEPS, "[{percent: 5}, {percent: 10}]")}, "Two steps")
    found = ticked(here)
    assert (found.did, canary(here).step) == ("done", 3)


def test_the_first_version_of_an_agent_has_no_steps(world: Callable[..., World]) -> None:
    here = world()
    here.to_canary("helper", "1.0.0")
    assert tick(here.workspace(MANAGER)) == []


def test_the_commands(growing: World, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    here = growing
    capsys.readouterr()
    assert here.cli(MANAGER, "canary", "show") == 0
    text = capsys.readouterr().out
    assert "helper@1.1.0: waiting: step 1 of 3 (5 %) soaks until" in text
    assert "live analysis: inconclusive" in text
    assert here.cli(MANAGER, "canary", "tick", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["canaries"]
    assert (found["did"], found["rollout"]["step"], found["rollout"]["minSessions"]) == ("waiting", 1, 20)
    assert here.cli(MANAGER, "canary", "tick", "nobody") == 1
    assert here.cli(MANAGER, "canary", "tick", "--watch", "5", "--json") == 2
    assert here.cli(MANAGER, "canary", "advance", "helper", "--reason", "enough") == 0
    assert here.cli(MANAGER, "canary", "advance", "helper") == 2


def test_with_the_other_driver_the_command_moves_nothing(growing: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DRIVER", "dagster")
    assert growing.cli(MANAGER, "canary", "tick") == 2
    assert growing.cli(MANAGER, "canary", "show") == 0
    with pytest.raises(WrongUse):
        advance_by_hand(growing.workspace(MANAGER), "helper", "enough")


def test_times_are_read_as_they_are_written(growing: World) -> None:
    assert isinstance(moment_of(canary(growing).since), datetime)


def test_a_step_that_asks_for_proof_says_how_long_that_takes(growing: World, clock: Clock) -> None:
    here = growing
    text = (here.author.root / PIPELINE).read_text()
    proof = "analysis: {requireNonInferior: true, margin: 0.01}"
    here.merge({PIPELINE: text.replace("50}]}", f"50}}], {proof}}}")}, "Ask for proof")
    meet(here, clock, canaries=25, prods=400)
    clock.jump(days=1)
    found = ticked(here)
    assert found.did == "waiting"
    assert "it is not proven that at most 1.0% more sessions fail" in found.why
    # ln(0.05) / ln(0.99) = 298.1 without a failure so far; 425 sessions a day, of which the canary meets 5 %
    assert "it takes 299 sessions on the canary at the least, 14.1 days at today's traffic" in found.why
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    planned = plan_promotion(workspace, ("helper", "1.1.0", "prod"))
    assert any("days at today's traffic" in one.sentence for one in planned.unmet)


def test_a_proof_that_is_there_lets_the_step_go(growing: World, clock: Clock) -> None:
    here = growing
    text = (here.author.root / PIPELINE).read_text()
    proof = "analysis: {requireNonInferior: true, margin: 0.2}"
    here.merge({PIPELINE: text.replace("50}]}", f"50}}], {proof}}}")}, "Ask for proof")
    at = clock()
    for minute in range(60):
        meet(here, clock, canaries=1, prods=2, at=at + timedelta(seconds=30 * minute))
    clock.jump(hours=2)
    assert ticked(here).did == "advanced"


def test_a_hold_that_git_lacks_keeps_a_step_as_well(growing: World, clock: Clock) -> None:
    """In force is in force: a tick that could read Git once more than the one who held it changes nothing."""
    here = growing
    meet(here, clock)
    clock.jump(hours=1)
    away = here.author.remote.with_name("away.git")
    here.author.remote.rename(away)
    hold(here.workspace(MANAGER), "helper", "look closer")
    away.rename(here.author.remote)
    found = ticked(here)
    assert (found.did, canary(here).step) == ("waiting", 1)
    assert "an urgent change by manager@example.org (look closer) is not committed yet" in found.why
    here.sessions("helper", "canary", 100, failed=90, at=clock() - timedelta(minutes=30))
    assert ticked(here).did == "waiting", "what is held is not rolled back either, but by a person"
    here.reconcile()
    assert "held by manager@example.org" in ticked(here).why
