from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.pipeline import GateUse
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes
from penstock.gates.canary_runs import canary_runs
from penstock.gates.context import GateContext
from penstock.gates.gate import run_gate
from penstock.store.database import open_database
from penstock.store.run_scores import RunScore, State
from penstock.store.runs import RunStore

SINCE = "2026-11-20T10:00:00.000000Z"


@dataclass
class Run:
    status: str = "finished"
    duration_ms: float | None = 100.0
    cost_usd: float | None = 0.01
    is_cached: bool = False


@dataclass
class Runs:
    rows: list[Run]
    asked: tuple[str, ...] = ()
    scores: list[RunScore] = field(default_factory=list)
    ratings: list[float] = field(default_factory=list)

    def live_runs(self, agent: str, release: str, stage: str, since: str) -> list[Run]:
        self.asked = (agent, release, stage, since)
        return self.rows

    def live_scores(self, *of: str) -> list[RunScore]:
        assert of == self.asked
        return self.scores

    def live_ratings(self, *of: str) -> list[float]:
        assert of == self.asked
        return self.ratings


@pytest.fixture
def canary(context: Callable[..., GateContext], release_of: Callable[..., Release]) -> Callable[..., GateContext]:
    """A context whose release is the canary since `SINCE`, with these live runs."""

    def make(rows: list[Run], slo: dict[str, Any] | None = None, release: str | None = None) -> GateContext:
        candidate = release_of(slo=slo)
        entry = {
            "version": "1.0.0",
            "release": release or candidate.digest,
            "runtime": "direct",
            "weightBp": 2000,
            "salt": candidate.digest,
            "since": SINCE,
        }
        routes = AgentRoutes.model_validate({"canary": entry})
        return context(candidate, origin="released", routes=routes, runs=Runs(rows))

    return make


def test_too_few_runs_decide_nothing(canary: Callable[..., GateContext]) -> None:
    made = canary([Run()] * 12)
    finding = canary_runs(made, min_runs=30)
    assert (finding.outcome, finding.reason) == ("inconclusive", f"12 of 30 live runs since {SINCE}")
    runs: Any = made.runs
    assert runs.asked == ("echo", made.release.digest, "canary", SINCE)


def test_enough_good_runs_pass(canary: Callable[..., GateContext]) -> None:
    finding = canary_runs(canary([Run()] * 30), min_runs=30)
    assert (finding.outcome, finding.measured["successRate"]) == ("passed", 1.0)


@pytest.mark.parametrize(("failed", "outcome"), [(1, "passed"), (2, "failed")])
def test_success_rate(canary: Callable[..., GateContext], failed: int, outcome: str) -> None:
    rows = [Run()] * (100 - failed) + [Run("timed_out")] * failed
    finding = canary_runs(canary(rows, {"successRate": 0.99}), min_runs=30)
    assert finding.outcome == outcome
    if outcome == "failed":
        assert finding.reason == "98 of 100 runs finished, less than 99.00%"


def test_cancelled_rejected_and_cached_runs_are_neutral(canary: Callable[..., GateContext]) -> None:
    neutral = [Run("cancelled", None, None)] * 20 + [Run("rejected", None, None)] * 10
    neutral += [Run("finished", 900.0, 9.0, is_cached=True)] * 10
    assert canary_runs(canary([Run()] * 29 + neutral), min_runs=30).outcome == "inconclusive"
    finding = canary_runs(canary([Run()] * 30 + neutral, {"p95Ms": 200, "costPerRunUsd": 1.0}), min_runs=30)
    assert (finding.outcome, finding.measured["runs"], finding.measured["neutral"]) == ("passed", 30, 40)


@pytest.mark.parametrize(("slow", "outcome"), [(5, "passed"), (6, "failed")])
def test_p95_is_the_nearest_rank(canary: Callable[..., GateContext], slow: int, outcome: str) -> None:
    rows = [Run(duration_ms=50.0)] * (100 - slow) + [Run(duration_ms=900.0)] * slow
    finding = canary_runs(canary(rows, {"p95Ms": 500}), min_runs=30)
    assert finding.outcome == outcome


def test_mean_cost(canary: Callable[..., GateContext]) -> None:
    rows = [Run(cost_usd=0.01)] * 30 + [Run(cost_usd=0.05)] * 30
    assert canary_runs(canary(rows, {"costPerRunUsd": 0.0301}), min_runs=30).outcome == "passed"
    finding = canary_runs(canary(rows, {"costPerRunUsd": 0.029}), min_runs=30)
    assert (finding.outcome, finding.reason) == ("failed", "a run costs 0.03 USD, more than 0.029")


def test_an_unknown_cost_is_no_evidence_and_never_zero(canary: Callable[..., GateContext]) -> None:
    made = canary([Run()] * 29 + [Run(cost_usd=None)], {"costPerRunUsd": 1.0})
    result = run_gate(made, GateUse.model_validate({"gate": "canary-runs"}))
    assert (result.outcome, result.reason) == ("errored", "the cost of 1 of 30 live runs is not known")


def test_every_broken_promise_is_named(canary: Callable[..., GateContext]) -> None:
    rows = [Run("failed", 900.0, 0.5)] * 30
    finding = canary_runs(canary(rows, {"p95Ms": 500, "costPerRunUsd": 0.1}), min_runs=30)
    assert finding.outcome == "failed"
    assert len(finding.reason.split("; ")) == 3


def test_another_canary_is_not_this_one(canary: Callable[..., GateContext]) -> None:
    made = canary([Run()] * 90, release="sha256:" + "0" * 64)
    finding = canary_runs(made, min_runs=30)
    assert (finding.outcome, finding.reason) == ("inconclusive", "0 of 30 live runs: this release is not the canary")


def test_the_window_is_an_input(canary: Callable[..., GateContext]) -> None:
    result = run_gate(canary([Run()] * 30), GateUse.model_validate({"gate": "canary-runs"}))
    assert result.inputs["window"] == {"stage": "canary", "since": SINCE}
    asked = {"minRuns": 30, "minJudgeScore": None, "minScores": 20, "minFeedback": None, "minRatings": 20}
    assert result.parameters == asked


def test_without_a_database_there_is_no_evidence(canary: Callable[..., GateContext]) -> None:
    made = replace(canary([]), runs=None)
    result = run_gate(made, GateUse.model_validate({"gate": "canary-runs"}))
    assert (result.outcome, result.reason) == ("errored", "live runs cannot be counted without the database")


def test_a_draft_has_no_live_runs(canary: Callable[..., GateContext]) -> None:
    finding = canary_runs(replace(canary([Run()] * 90), origin="draft"), min_runs=30)
    assert (finding.outcome, finding.reason) == ("skipped", "a draft has no live runs")


def test_runs_are_counted_in_the_database(canary: Callable[..., GateContext], tmp_path: Path) -> None:
    made = canary([])
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    store = RunStore(database)

    def row(number: int, **fields: Any) -> dict[str, Any]:
        run = {
            "runId": f"{number}",
            "agent": "echo",
            "version": "1.0.0",
            "release": made.release.digest,
            "stage": "canary",
            "mode": "live",
            "status": "finished",
            "startedAt": "2026-11-20T10:00:00.000001Z",
            "durationMs": 12.5,
            "usage": {"costUsd": 0.01},
        }
        return {"kind": "run", "run": {**run, **fields}}

    others = [
        {"stage": "prod"},
        {"mode": "eval"},
        {"release": "sha256:" + "0" * 64},
        {"agent": "other"},
        {"startedAt": "2026-11-20T09:59:59.999999Z"},
        {"status": "running"},
        {"status": "cancelled"},
    ]
    store.ingest([row(number) for number in range(3)] + [row(10 + number, **one) for number, one in enumerate(others)])
    finding = canary_runs(replace(made, runs=store), min_runs=3)
    database.close()
    assert (finding.outcome, finding.measured["runs"], finding.measured["neutral"]) == ("passed", 3, 1)


def rated(
    canary: Callable[..., GateContext], scores: list[RunScore] | None = None, ratings: list[float] | None = None
) -> GateContext:
    """A canary with 30 good runs, and what judges and users said of them."""
    made = canary([])
    return replace(made, runs=Runs([Run()] * 30, scores=scores or [], ratings=ratings or []))


def scored(
    *values: float | None, state: State = "scored", identity: str = "sha256:j", kind: str = "score"
) -> list[RunScore]:
    told = {"kind": kind} if state == "scored" else {}
    return [RunScore(f"{n}", "judge", identity, state, value, 0.0, told) for n, value in enumerate(values)]


def test_what_is_not_asked_is_not_looked_at(canary: Callable[..., GateContext]) -> None:
    assert canary_runs(rated(canary, scored(*[0.0] * 30), [-1] * 30)).outcome == "passed"


@pytest.mark.parametrize(
    ("scores", "outcome", "reason"),
    [
        ([], "inconclusive", "0 of 20 judge's scores"),
        (scored(*[0.9] * 19), "inconclusive", "judge: 19 of 20 scores"),
        (scored(*[0.9] * 20), "passed", "within the SLO"),
        (scored(*[0.7] * 19, 0.5), "failed", "judge: the mean of 20 scores is 0.690, less than 0.7"),
        (scored(*[0.9] * 99) + scored(None, state="failed"), "passed", "within the SLO"),
        (scored(*[0.9] * 98) + scored(*[None] * 2, state="claimed"), "inconclusive", "judge: 2 of 100 chosen runs"),
        (scored(*[0.1] * 90, identity="sha256:older") + scored(*[0.9] * 20), "passed", "within the SLO"),
        (scored(*[0.9] * 90, identity="sha256:older") + scored(0.9), "inconclusive", "judge: 1 of 20 scores"),
        (scored(*[None] * 30, kind="label"), "inconclusive", "0 of 20 judge's scores"),
        (scored(*[900.0] * 30, kind="measure"), "inconclusive", "0 of 20 judge's scores"),
    ],
)
def test_judges_are_asked_for_a_mean(
    canary: Callable[..., GateContext], scores: list[RunScore], outcome: str, reason: str
) -> None:
    finding = canary_runs(rated(canary, scores), min_judge_score=0.7)
    assert finding.outcome == outcome
    assert reason in finding.reason


@pytest.mark.parametrize(
    ("ratings", "outcome", "reason"),
    [
        ([1.0] * 19, "inconclusive", "19 of 20 users' words"),
        ([1.0] * 16 + [-1.0] * 4, "passed", "within the SLO"),
        ([0.5] * 15 + [0.0] * 5, "failed", "75% of 20 users' words are up, less than 80%"),
    ],
)
def test_users_are_asked_for_a_share(
    canary: Callable[..., GateContext], ratings: list[float], outcome: str, reason: str
) -> None:
    finding = canary_runs(rated(canary, ratings=ratings), min_feedback=0.8)
    assert finding.outcome == outcome
    assert reason in finding.reason


def test_all_that_was_asked_is_in_the_result(canary: Callable[..., GateContext]) -> None:
    made = rated(canary, scored(*[0.5] * 20), [-1.0] * 20)
    use = {"gate": "canary-runs", "params": {"minJudgeScore": 0.7, "minFeedback": 0.8}}
    result = run_gate(made, GateUse.model_validate(use))
    assert (result.outcome, len(result.reason.split("; "))) == ("failed", 2)
    assert result.measured["judges"] == [{"scorer": "judge", "n": 20, "mean": 0.5}]
    assert result.measured["feedback"] == {"n": 20, "up": 0.0}
    assert {"minJudgeScore", "minScores", "minFeedback", "minRatings", "minRuns"} <= result.limit.keys()
