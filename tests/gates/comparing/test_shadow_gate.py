from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.canonical import canonical
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.gates.context import GateContext
from penstock.gates.gate import run_gate

TEXTS = [f"please keep {number}" for number in range(8)]
MAIL = "ada@example.org"


def run(context: GateContext, **params: Any) -> GateResult:
    return run_gate(context, GateUse.model_validate({"gate": "shadow", "params": {"minRuns": 5, **params}}))


def test_production_runs_go_through_both_and_nothing_is_written(world: Any) -> None:
    world.live(TEXTS)
    assert world.written == TEXTS
    result = run(world.context())
    assert result.outcome == "passed", result.reason
    assert result.measured["pairs"] == 8
    assert world.written == TEXTS
    found = result.artifacts
    assert found["source"]["recorded"] == 8
    assert found["source"]["dataset"] == 0
    assert found["sideEffects"] == {"refused": 0, "fromJournal": 16, "calledRead": 0, "calledWrite": 0}
    assert found["artifact"]["changed"] == 0
    assert found["artifact"]["noiseFloor"]["pairs"] == 8


def test_a_candidate_that_would_write_something_else_does_not(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model(keeps=str.upper)
    result = run(world.context(), maxRefusedShare=0.5)
    assert world.written == TEXTS
    assert result.outcome == "failed"
    assert "100.0% of the runs would write what prod did not" in result.reason
    assert result.artifacts["sideEffects"]["refused"] == 8
    assert result.artifacts["sideEffects"]["calledWrite"] == 0
    [refused] = result.artifacts["cases"][0]["refused"]
    assert refused["tool"] == "store"
    assert refused["arguments"]["q"].startswith("PLEASE KEEP")
    undeclared = run(world.context())
    assert undeclared.outcome == "inconclusive"
    assert "was not seen" in undeclared.reason


def test_nobody_gets_the_answers_and_no_session_is_touched(world: Any) -> None:
    world.live(TEXTS)
    before = {row["runId"]: row for row in world.store.runs(limit=500)}
    run(world.context())
    made = [row for row in world.store.runs(limit=500) if row["runId"] not in before]
    assert {row["mode"] for row in made} == {"shadow"}
    assert len(made) == 16
    assert {(row["sessionId"], row["tenant"], row["user"], row["stage"]) for row in made} == {(None, None, None, "dev")}
    assert [world.store.payloads(row["runId"]) for row in made] == [[]] * 16
    assert all(world.store.events(row["runId"])[-1]["type"] == "run.finished" for row in made)


def test_without_recorded_runs_the_dataset_goes_through_both(world: Any) -> None:
    result = run(world.context())
    assert result.outcome == "passed", result.reason
    assert result.artifacts["source"] == {
        "recorded": 0,
        "dataset": 12,
        "window": result.artifacts["source"]["window"],
    }
    assert result.artifacts["source"]["window"]["unusable"] == 0
    assert world.written == []
    assert result.artifacts["sideEffects"]["refused"] == 12


def test_too_few_recorded_runs_are_filled_up(world: Any) -> None:
    world.live(TEXTS[:3])
    result = run(world.context(), minRuns=10, sample=10)
    assert (result.artifacts["source"]["recorded"], result.artifacts["source"]["dataset"]) == (3, 7)
    assert result.measured["pairs"] == 10
    assert {case["source"] for case in result.artifacts["cases"]} == {"recorded", "dataset"}


def test_too_few_of_both_decide_nothing(world: Any) -> None:
    world.live(TEXTS[:3])
    result = run(world.context(), minRuns=20, sample=50)
    assert result.outcome == "inconclusive"
    assert result.reason.startswith("15 of 20 runs to compare")


def test_an_agent_without_a_suite_is_run_on_what_was_recorded(world: Any) -> None:
    world.project.write({"evals/echo.yaml": None})
    assert run(world.context()).outcome == "inconclusive"
    world.live(TEXTS)
    assert run(world.context()).outcome == "passed"


def test_deleted_payloads_are_not_run_again(world: Any) -> None:
    ids = world.live(TEXTS)
    for run_id in ids[:3]:
        world.store.delete_payloads(run_id)
    result = run(world.context())
    assert result.artifacts["source"]["recorded"] == 5
    assert not {f"production/{run_id}" for run_id in ids[:3]} & {case["id"] for case in result.artifacts["cases"]}


def test_more_failures_than_allowed_fail(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model(broken=frozenset(TEXTS[:2]))
    result = run(world.context())
    assert result.outcome == "failed"
    assert "25.0% of the runs fail where prod's finish, more than 5.0%" in result.reason
    assert run(world.context(), maxFailed=0.25).outcome == "passed"
    assert result.artifacts["slo"]["successRate"] == [1.0, 0.75]


def test_an_input_that_the_candidate_no_longer_takes_is_a_failure(world: Any) -> None:
    world.live(TEXTS)
    path = "registry_repo/agents/echo/1.1.0.yaml"
    spec = (world.project.root / path).read_text()
    narrow = spec.replace("input: {schema: {type: object,", "input: {schema: {type: object, maxProperties: 0,", 1)
    assert narrow != spec
    world.project.write({path: narrow})
    result = run(world.context())
    assert result.outcome == "failed"
    assert result.measured["failedShare"] == 1.0


def test_a_model_that_is_away_is_no_evidence(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model(fails=frozenset(TEXTS[:1]))
    result = run(world.context())
    assert result.outcome == "errored"
    assert "the model is away" in result.reason
    assert result.artifacts["problems"][0]["side"] == "candidate"


def test_a_budget_that_is_used_up_decides_nothing(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model(cost_usd=1.0, better_cost_usd=1.0)
    result = run(world.context(), budgetUsd=0.5)
    assert result.outcome == "inconclusive"
    assert "budget of 0.5 USD is used up" in result.reason
    assert len(result.artifacts["cases"]) < 8


def test_without_the_noise_floor_prod_is_not_run_again(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model()
    result = run(world.context(), noiseFloor=False)
    assert result.outcome == "passed", result.reason
    assert world.model.calls == 2 * len(TEXTS)
    assert result.artifacts["events"]["noiseFloor"] is None
    assert {case["baseline"]["runId"] for case in result.artifacts["cases"]} == {
        f"run-prod-{number}" for number in range(8)
    }


def test_prods_own_noise_is_shown(world: Any, model: Callable[..., Any]) -> None:
    world.model = model(moody=True)
    world.live(TEXTS)
    result = run(world.context())
    assert result.artifacts["events"]["noiseFloor"]["share"] > 0


def test_declared_limits_are_judged(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model(better=str.upper, better_cost_usd=0.002)
    result = run(world.context(), maxChangedShare=0.5, maxCostRise=0.1)
    assert result.outcome == "failed"
    assert "100.0% outputs changed, more than 50.0%" in result.reason
    assert "more cost, more than 10.0%" in result.reason
    assert result.limit == {"minRuns": 5, "maxFailed": 0.05, "maxChangedShare": 0.5, "maxCostRise": 0.1}


def test_a_limit_on_an_unknown_price_is_no_verdict(world: Any, model: Callable[..., Any]) -> None:
    world.live(TEXTS)
    world.model = model(better_cost_usd=None)
    result = run(world.context(), maxCostRise=0.1)
    assert (result.outcome, result.reason) == ("errored", "maxCostRise cannot be judged: a price is not known")


def test_nothing_of_what_users_sent_stands_in_the_result_or_in_the_trials(world: Any) -> None:
    world.live([f"{text} {MAIL}" for text in TEXTS])
    result = run(world.context())
    assert result.outcome == "passed", result.reason
    assert MAIL not in canonical(result.as_document()).decode()
    from sqlalchemy import text

    with world.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM trials")).scalar() == 0


def test_a_fault_of_the_comparison_tells_nothing_of_what_users_sent(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.scoring.diff import difference

    def breaks(before: Any, *_: Any) -> Any:
        raise KeyError(before["said"])

    world.live([f"{text} {MAIL}" for text in TEXTS])
    monkeypatch.setattr(difference, "artifact_changes", breaks)
    result = run(world.context())
    assert (result.outcome, result.reason) == ("errored", "the runs cannot be compared (KeyError)")
    assert MAIL not in canonical(result.as_document()).decode()


def test_one_version_on_two_runtimes(world: Any) -> None:
    world.live(TEXTS)
    result = run(world.context("1.0.0"), runtime="langgraph")
    assert result.outcome == "passed", result.reason
    assert result.measured["eventsChangedShare"] == 0.0
    assert result.measured["changedShare"] == 0.0
    assert {case["candidate"]["runtime"] for case in result.artifacts["cases"]} == {"langgraph"}
    assert {case["baseline"]["runtime"] for case in result.artifacts["cases"]} == {"direct"}
    assert world.written == TEXTS


def test_a_version_beside_itself_is_not_compared(world: Any) -> None:
    result = run(world.context("1.0.0"))
    assert (result.outcome, result.reason) == (
        "passed",
        "prod serves this release on direct: there is nothing to compare",
    )


@pytest.mark.parametrize(("rule", "outcome"), [("skip", "skipped"), ("block", "inconclusive")])
def test_without_a_baseline_there_is_nothing_to_compare(world: Any, rule: str, outcome: str) -> None:
    use = GateUse.model_validate({"gate": "shadow", "whenNoBaseline": rule})
    assert run_gate(world.context(against=None), use).outcome == outcome


def test_a_draft_of_a_merge_request_gets_no_production_runs(world: Any) -> None:
    world.live(TEXTS)
    result = run(world.context(origin="draft", runs=None))
    assert result.artifacts["source"] == {"recorded": 0, "dataset": 12, "window": None}


def test_a_dataset_that_fails_its_checks_is_not_used(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.gates import dataset_checks

    failing = [{"name": "words", "passed": False, "why": "2 cases have the same input", "checks": []}]
    monkeypatch.setattr(dataset_checks, "check_datasets", lambda context, spec: failing)
    result = run(world.context())
    assert (result.outcome, result.reason) == ("errored", "dataset words fails its checks: 2 cases have the same input")


def test_an_unknown_runtime_is_an_error(world: Any) -> None:
    world.live(TEXTS)
    result = run(world.context(), runtime="other")
    assert result.outcome == "errored"
    assert "other" in result.reason


def test_what_it_reads_is_in_its_inputs(world: Any) -> None:
    world.live(TEXTS)
    result = run(world.context())
    assert result.inputs["window"] == {"stages": ["canary", "prod"]}
    assert result.inputs["baseline"] == world.resolved("1.0.0").release.digest
    assert (result.inputs["runtimes"]["candidate"], result.inputs["runtimes"]["baseline"]) == ("direct", "direct")
    assert result.inputs["suite"].startswith("sha256:")
    assert result.inputs["dataset"].startswith("sha256:")
    world.project.write({"evals/echo.yaml": (world.project.root / "evals/echo.yaml").read_text() + "  repeats: 2\n"})
    assert run(world.context()).inputs_digest != result.inputs_digest


def test_only_a_passed_result_is_found_again() -> None:
    from penstock.gates.gate import find_gate

    assert find_gate("shadow").reuse == frozenset({"passed"})
    assert find_gate("shadow").compares
