from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.errors import Unavailable
from penstock.gates.context import GateContext
from penstock.gates.gate import run_gate
from penstock.store.trials import TrialStore


def run(context: GateContext, **params: Any) -> GateResult:
    return run_gate(context, GateUse.model_validate({"gate": "diff", "params": params}))


def fixtures(world: Any) -> None:
    """Gives every case a result of the writing tool: mode eval calls none."""
    path = "datasets/words/cases.jsonl"
    lines = (world.project.root / path).read_text().splitlines()
    fixed = [line.removesuffix("}") + ', "fixtures": {"store": [{"kept": true}]}}' for line in lines]
    world.project.write({path: "\n".join(fixed) + "\n"})


@pytest.fixture
def ready(world: Any) -> Any:
    fixtures(world)
    return world


def test_nothing_asked_informs_and_passes(ready: Any, model: Callable[..., Any]) -> None:
    ready.model = model(better=str.upper)
    result = run(ready.context())
    assert result.outcome == "passed", result.reason
    assert result.reason.startswith("12 of 12 outputs and 0 event sequences changed (prod's own: 0.0%)")
    assert result.reason.endswith("no limit is declared, so it informs")
    assert result.artifacts["artifact"]["byPath"] == [{"path": "$.said", "changed": 12}]
    assert result.artifacts["events"]["noiseFloor"] == {
        "share": 0.0,
        "lower": 0.0,
        "upper": pytest.approx(0.2425, abs=1e-3),
        "pairs": 12,
    }
    [change] = result.artifacts["cases"][0]["difference"]
    assert (change["path"], change["kind"], change["after"]) == ("$.said", "changed", change["before"].upper())


def test_rules_of_the_suite_say_what_counts(ready: Any, model: Callable[..., Any]) -> None:
    suite = (ready.project.root / "evals/echo.yaml").read_text()
    ready.project.write({"evals/echo.yaml": suite + "  diff: {ignore: [$.said]}\n"})
    ready.model = model(better=str.upper)
    assert run(ready.context()).artifacts["artifact"]["changed"] == 0


def test_a_rule_that_is_no_path_is_no_verdict(ready: Any) -> None:
    suite = (ready.project.root / "evals/echo.yaml").read_text()
    ready.project.write({"evals/echo.yaml": suite + "  diff: {ignore: ['$.said[']}\n"})
    result = run(ready.context())
    assert result.outcome == "errored"
    assert "is no JSON path" in result.reason


def test_what_was_run_within_a_day_is_not_run_again(ready: Any) -> None:
    first = run(ready.context())
    calls = ready.model.calls
    again = run(ready.context())
    assert ready.model.calls == calls
    assert (first.artifacts["run"]["made"], again.artifacts["run"]["made"]) == (36, 0)
    assert again.artifacts["run"]["reused"] == 36
    assert again.artifacts["artifact"] == first.artifacts["artifact"]


@pytest.mark.parametrize(
    ("asked", "made", "missed"),
    [
        ({"maxChangedShare": 0.2}, {"better": str.upper}, "100.0% outputs changed, more than 20.0%"),
        ({"maxCostRise": 0.5}, {"better_cost_usd": 0.002}, "100.0% more cost, more than 50.0%"),
        ({"maxSuccessDrop": 0.1}, {"broken": frozenset({"one", "two"})}, "16.7% fewer runs finished, more than 10.0%"),
    ],
)
def test_declared_limits_fail(
    ready: Any, model: Callable[..., Any], asked: dict[str, float], made: dict[str, Any], missed: str
) -> None:
    ready.model = model(**made)
    result = run(ready.context(), **asked)
    assert (result.outcome, result.limit) == ("failed", asked)
    assert missed in result.reason
    held = run(ready.context(), **dict.fromkeys(asked, 1.0))
    assert held.outcome == "passed", held.reason
    assert held.reason.endswith("within its limits")


def test_latency_is_judged_at_p95(ready: Any) -> None:
    result = run(ready.context(), maxP95Rise=1_000)
    assert result.outcome == "passed"
    assert result.measured["p95Rise"] is not None
    assert all(value > 0 for value in result.artifacts["slo"]["p95Ms"])


def test_an_agent_that_requires_streaming_is_streamed(ready: Any) -> None:
    run(ready.context())
    assert ready.model.streamed == 0
    path = "registry_repo/agents/echo/1.1.0.yaml"
    spec = (ready.project.root / path).read_text()
    ready.project.write({path: spec.replace("selector: direct", "selector: direct, requires: {streaming: true}")})
    result = run(ready.context())
    assert ready.model.streamed == 24
    assert result.artifacts["slo"]["ttftP50Ms"][1] > 0


def test_event_sequences_gate_only_on_recorded_answers(ready: Any, model: Callable[..., Any]) -> None:
    ready.model = model(moody=True)
    informs = run(ready.context(), maxEventsChangedShare=0.0)
    assert informs.outcome == "passed"
    assert informs.artifacts["events"]["noiseFloor"]["share"] > 0
    recorded = run(ready.context(), maxEventsChangedShare=1.0, events="recorded")
    assert recorded.outcome == "inconclusive"
    assert "prod's own sequences differ" in recorded.reason


def test_changed_sequences_fail_on_recorded_answers(ready: Any) -> None:
    path = "registry_repo/agents/echo/1.1.0.yaml"
    spec = (ready.project.root / path).read_text()
    ready.project.write({path: spec.replace("tools/search@1.0.0, ", "")})
    result = run(ready.context(), maxEventsChangedShare=0.0, events="recorded")
    assert result.outcome == "failed"
    assert "100.0% event sequences changed, more than 0.0%" in result.reason
    ops = {event["op"] for case in result.artifacts["cases"] for event in case["events"]}
    assert "missing" in ops


def test_a_writing_tool_without_fixtures_is_no_evidence(world: Any) -> None:
    result = run(world.context())
    assert result.outcome == "errored"
    assert "neither the case's fixtures nor its examples have a result" in result.reason
    assert len(result.artifacts["problems"]) == 36
    assert world.written == []


def test_half_of_the_calls_failing_is_no_verdict(ready: Any, model: Callable[..., Any]) -> None:
    ready.model = model(fails=frozenset({"one", "two", "three", "four", "five", "six"}))
    result = run(ready.context())
    assert result.outcome == "errored"
    assert "(and 5 more)" in result.reason
    assert result.artifacts["pairs"] == 6


def test_trials_that_cannot_be_kept_are_no_evidence(ready: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise Unavailable("no space is left", where="store.db", now="free some")

    monkeypatch.setattr(TrialStore, "put", full)
    result = run(ready.context())
    assert (result.outcome, result.reason) == ("errored", "no space is left")


def test_a_budget_that_is_used_up_decides_nothing(ready: Any, model: Callable[..., Any]) -> None:
    ready.model = model(cost_usd=3.0, better_cost_usd=3.0)
    result = run(ready.context())
    assert result.outcome == "inconclusive"
    assert "budget of 5 USD is used up" in result.reason


def test_a_sample_takes_the_first_cases(ready: Any) -> None:
    few, all_of_them = run(ready.context(), sample=4), run(ready.context())
    chosen = [{case["id"] for case in result.artifacts["cases"]} for result in (few, all_of_them)]
    assert (len(chosen[0]), len(chosen[1])) == (4, 12)
    assert chosen[0] < chosen[1]


def test_repeats_are_pairs_of_their_own_and_one_unit(ready: Any) -> None:
    suite = (ready.project.root / "evals/echo.yaml").read_text()
    ready.project.write({"evals/echo.yaml": suite + "  repeats: 3\n"})
    result = run(ready.context())
    assert result.artifacts["pairs"] == 36
    assert result.artifacts["cost"]["ratio"]["n"] == 12
    assert result.artifacts["events"]["noiseFloor"]["pairs"] == 12
    assert result.artifacts["run"]["made"] == 72


def test_two_runtimes_take_the_same_steps(ready: Any) -> None:
    result = run(ready.context("1.0.0"), runtime="langgraph", maxEventsChangedShare=0.0, events="recorded")
    assert result.outcome == "passed", result.reason
    assert result.artifacts["runtimes"] == {"candidate": "langgraph", "baseline": "direct"}


def test_the_version_in_prod_has_nothing_to_be_compared_with(ready: Any) -> None:
    assert "there is nothing to compare" in run(ready.context("1.0.0")).reason
    assert ready.model.calls == 0


def test_without_a_suite_or_a_baseline(ready: Any) -> None:
    assert run(ready.context(against=None)).outcome == "inconclusive"
    ready.project.write({"evals/echo.yaml": None})
    result = run(ready.context())
    assert (result.outcome, result.reason) == ("failed", "there is no eval suite: write evals/echo.yaml")


def test_a_suite_with_faults_is_not_called_missing(ready: Any) -> None:
    ready.project.write({"evals/echo.yaml": "apiVersion: penstock.dev/v1\nkind: [\n"})
    result = run(ready.context())
    assert (result.outcome, ready.model.calls) == ("failed", 0)
    assert result.reason.startswith("the eval suite is broken: evals/echo.yaml:")


def test_a_baseline_that_the_registry_makes_otherwise_is_no_evidence(ready: Any) -> None:
    context = ready.context()
    other = context.baseline.model_copy(update={"min_engine": "0.2.0"})
    result = run(replace(context, baseline=other))
    assert result.outcome == "errored"
    assert "here it is another release" in result.reason


def test_a_passed_and_a_failed_result_are_found_again_by_what_it_reads(ready: Any) -> None:
    first, again = run(ready.context()), run(ready.context())
    assert first.inputs_digest == again.inputs_digest
    assert first.inputs["dataset"].startswith("sha256:")
    path = "datasets/words/cases.jsonl"
    text = (ready.project.root / path).read_text()
    ready.project.write({path: text.replace('"text": "one"', '"text": "won"')})
    assert run(ready.context()).inputs_digest != first.inputs_digest
