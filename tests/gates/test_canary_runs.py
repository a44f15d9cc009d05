from collections.abc import Callable
from dataclasses import dataclass, replace
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
from penstock.store.runs import RunStore

SINCE = "2026-11-20T10:00:00.000000Z"


@dataclass
class Run:
    status: str = "finished"
    duration_ms: float | None = 100.0
    cost_usd: float | None = 0.01


@dataclass
class Runs:
    rows: list[Run]
    asked: tuple[str, ...] = ()

    def live_runs(self, agent: str, release: str, stage: str, since: str) -> list[Run]:
        self.asked = (agent, release, stage, since)
        return self.rows


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


def test_cancelled_and_rejected_runs_are_neutral(canary: Callable[..., GateContext]) -> None:
    neutral = [Run("cancelled", None, None)] * 20 + [Run("rejected", None, None)] * 20
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
    assert result.parameters == {"minRuns": 30}


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
