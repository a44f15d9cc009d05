"""The gate `eval` on a project with two versions and a model that answers as the test says."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.gates import eval as eval_gate
from penstock.gates import measuring
from penstock.gates.draft import draft_context
from penstock.gates.gate import run_gate
from penstock.pal import ModelFailed
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scoring.datasets import checks
from penstock.scoring.rig import open_rig
from penstock.settings import load_settings
from penstock.testing.eval_project import AGENT, Answers, eval_project, questions
from penstock.testing.fake_provider import FakeProvider

Judge = Callable[..., GateResult]


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Runs the gate on clerk@1.1.0 of a project laid down with these arguments."""

    def run(answers: Answers, *, first: bool = False, params: Mapping[str, Any] | None = None, **fields: Any) -> Any:
        root = tmp_path / "project"
        if not root.exists():
            stages = {"registry_repo/stages/clerk.yaml": None} if first else {}
            fields["files"] = {**stages, **fields.get("files", {})}
            eval_project(root, **fields)
        monkeypatch.setattr(measuring, "open_rig", functools.partial(open_rig, provider=FakeProvider(answers)))
        settings = load_settings(root)
        registry = load_registry(TreeSource(root), default_runtime=settings.default_runtime)
        context = draft_context(settings, registry, "clerk", "1.1.0")
        use = GateUse.model_validate({"gate": "eval", "params": dict(params or {})})
        return run_gate(replace(context, origin="draft"), use)

    return run


def scorer(result: GateResult, title: str = "right") -> dict[str, Any]:
    return next(one for one in result.artifacts["scorers"] if one["title"] == title)


def test_equal_versions_pass_and_the_result_names_everything_that_was_read(judge: Judge) -> None:
    answers = Answers()
    result = judge(answers, cases=questions(40))
    assert (result.outcome, result.reason) == ("passed", "1 scorers hold on 40 cases and not worse than clerk@1.0.0")
    assert result.measured["scorers"] == {"right": 1.0}
    assert scorer(result)["comparison"]["method"] == "tango"
    assert sorted(answers.asked) == sorted((v, f"q{n}") for v in ("1.0.0", "1.1.0") for n in range(40))
    assert all(result.inputs[name] for name in ("suite", "dataset", "scorers", "baseline", "runtimes"))
    assert {case["id"] for case in result.artifacts["cases"]} == {f"questions/c{n}" for n in range(40)}


def test_a_worse_version_fails_and_its_flips_stand_side_by_side(judge: Judge) -> None:
    wrong = {("1.1.0", f"q{number}"): "nonsense" for number in range(16)}
    result = judge(Answers(wrong), cases=questions(40))
    assert result.outcome == "failed"
    assert result.artifacts["flipsInAll"] == 16
    flip = result.artifacts["flips"][0]
    assert flip["direction"] == "worse"
    assert flip["candidate"]["output"] == {"answer": "nonsense"}
    assert flip["difference"][0]["after"] == "nonsense"
    assert scorer(result)["comparison"]["losses"] == 16


def test_one_flip_each_way_in_a_small_set_decides_nothing(judge: Judge) -> None:
    otherwise: dict[tuple[str, str], str | Exception] = {("1.1.0", "q1"): "x", ("1.0.0", "q2"): "x"}
    scorers = "[{scorer: equals, name: right, params: {path: $.answer, expectedPath: $.answer}, margin: 0.05}]"
    result = judge(Answers(otherwise), cases=questions(30), scorers=scorers)
    assert result.outcome == "inconclusive"
    assert scorer(result)["comparison"]["minimumDetectableLoss"] > 0.05


def test_an_absolute_limit_is_missed_whatever_production_does(judge: Judge) -> None:
    wrong = {(version, f"q{n}"): "x" for version in ("1.0.0", "1.1.0") for n in range(15)}
    result = judge(Answers(wrong), cases=questions(20))
    assert (result.outcome, result.reason) == ("failed", "right: mean 0.25 is less than 0.5")


def test_a_first_version_is_judged_by_limits_alone(judge: Judge) -> None:
    result = judge(Answers(), cases=questions(5), first=True)
    assert (result.outcome, result.baseline) == ("passed", None)
    assert scorer(result)["comparison"] is None


def test_a_first_version_without_limits_is_for_a_person(judge: Judge) -> None:
    scorers = "[{scorer: equals, name: right, params: {path: $.answer, expectedPath: $.answer}, margin: 0.05}]"
    result = judge(Answers(), cases=questions(5), scorers=scorers, first=True)
    assert result.outcome == "inconclusive"


def test_a_suite_that_asks_nothing_opens_nothing(judge: Judge) -> None:
    result = judge(Answers(), cases=questions(5), scorers="[{scorer: finished}]")
    assert result.outcome == "inconclusive"
    assert "asks nothing" in result.reason


def test_a_case_whose_model_fails_leaves_no_verdict_and_is_run_again_alone(judge: Judge) -> None:
    away = ModelFailed("the provider is down", retryable=False)
    result = judge(Answers({("1.1.0", "q3"): away}), cases=questions(20))
    assert result.outcome == "errored"
    assert "the provider is down" in result.reason
    again = Answers()
    result = judge(again, cases=questions(20))
    assert result.outcome == "passed"
    assert again.asked == [("1.1.0", "q3")]
    assert result.artifacts["run"]["reused"] == 39


def test_half_of_the_calls_failing_is_no_evidence(judge: Judge) -> None:
    failing = {("1.1.0", f"q{n}"): ModelFailed("no", retryable=False) for n in range(0, 20, 2)}
    result = judge(Answers(failing), cases=questions(20))
    assert result.outcome == "errored"
    assert len(result.artifacts["problems"]) == 10


def test_a_case_without_expectation_leaves_no_verdict(judge: Judge) -> None:
    cases = questions(5)
    del cases[2]["expected"]
    result = judge(Answers(), cases=cases)
    assert result.outcome == "errored"
    assert "c2" in result.reason


def test_an_agents_own_failure_is_a_zero(judge: Judge) -> None:
    """The output breaks the agent's schema, after the repair turn too."""
    files = {}
    answers = Answers({("1.1.0", f"q{n}"): "" for n in range(10)})
    schema = "{type: object, properties: {answer: {type: string, minLength: 1}}, required: [answer]}"
    for version in ("1.0.0", "1.1.0"):
        text = AGENT.format(version=version)
        head, tail = text.split("  output: ")
        files[f"registry_repo/agents/clerk/{version}.yaml"] = (
            f"{head}  output: {{schema: {schema}}}\n  runtime: {tail.split('  runtime: ')[1]}"
        )

    def repaired(call: Any) -> Any:
        return answers(replace(call, messages=[call.messages[0], call.messages[1]]))

    result = judge(repaired, cases=questions(20), files=files)
    assert (result.outcome, scorer(result)["mean"]) == ("failed", 0.5)
    assert not result.artifacts["problems"]


@pytest.mark.parametrize(
    ("reducer", "passing", "mean"), [("mean", "failed", 0.5), ("pass@k", "passed", 1.0), ("pass^k", "failed", 0.0)]
)
def test_repeats_are_reduced_before_anything_is_counted(judge: Judge, reducer: str, passing: str, mean: float) -> None:
    turn: dict[tuple[str, str], int] = {}
    answers = Answers()

    def every_other(call: Any) -> Any:
        answer = answers(call)
        key = answers.asked[-1]
        turn[key] = turn.get(key, 0) + 1
        if key[0] == "1.1.0" and turn[key] == 2:
            return replace(answer, content='{"answer": "x"}')
        return answer

    asked = f'reducer: "{reducer}", atLeast: 0.9'
    scorers = f"[{{scorer: equals, name: right, params: {{path: $.answer, expectedPath: $.answer}}, {asked}}}]"
    result = judge(every_other, cases=questions(10), scorers=scorers, suite={"repeats": 2, "concurrency": 2})
    assert (result.outcome, scorer(result)["mean"], scorer(result)["n"]) == (passing, mean, 10)


def test_clusters_are_the_units(judge: Judge) -> None:
    result = judge(Answers(), cases=questions(40, cluster_size=4))
    comparison = scorer(result)["comparison"]
    assert (comparison["method"], comparison["units"]) == ("betting", 10)


def test_an_early_stop_leaves_cases_out_and_says_so(judge: Judge) -> None:
    wrong = {("1.1.0", f"q{number}"): "x" for number in range(300)}
    scorers = "[{scorer: equals, name: right, params: {path: $.answer, expectedPath: $.answer}, margin: 0.2}]"
    result = judge(Answers(wrong), cases=questions(300), scorers=scorers, suite={"earlyStop": True})
    assert result.outcome == "failed"
    assert result.artifacts["run"]["stoppedEarly"] is True
    assert result.artifacts["run"]["cases"] < 300


def test_a_budget_that_runs_out_is_no_verdict(judge: Judge) -> None:
    suite = {"budget": {"costUsd": 0.0001, "minutes": 5.0}, "concurrency": 2}
    result = judge(Answers(), cases=questions(40), suite=suite)
    assert result.outcome == "errored"
    assert "budget" in result.reason


def test_an_empty_dataset_and_repeated_ids_are_no_evidence(judge: Judge, tmp_path: Path) -> None:
    result = judge(Answers(), cases=[])
    assert result.outcome == "errored"
    place = tmp_path / "project/datasets/questions/cases.jsonl"
    place.write_text('{"id": "c", "input": {"question": "q1"}}\n' * 2)
    result = judge(Answers())
    assert result.outcome == "errored"
    assert "twice" in str(result.artifacts)


def test_a_changed_suite_or_dataset_voids_the_evidence(judge: Judge, tmp_path: Path) -> None:
    before = judge(Answers(), cases=questions(6))
    suite = tmp_path / "project/evals/clerk.yaml"
    suite.write_text(suite.read_text() + "  sample: 5\n")
    after_suite = judge(Answers())
    cases = tmp_path / "project/datasets/questions/cases.jsonl"
    cases.write_text(cases.read_text().replace("a1", "b1"))
    after_cases = judge(Answers())
    assert len({result.inputs_digest for result in (before, after_suite, after_cases)}) == 3


def test_an_agent_without_a_suite_fails(judge: Judge) -> None:
    result = judge(Answers(), cases=questions(1), files={"evals/clerk.yaml": None})
    assert (result.outcome, result.reason) == ("failed", "there is no eval suite: write evals/clerk.yaml")


def test_a_suite_with_faults_fails_with_their_places(judge: Judge) -> None:
    result = judge(Answers(), cases=questions(1), scorers="[{scorer: equls, atLeast: 1.0}]")
    assert result.outcome == "failed"
    assert "evals/clerk.yaml:" in result.artifacts["faults"][0]


def test_the_revision_of_the_dataset_checks_is_part_of_what_is_read() -> None:
    assert eval_gate.DATASET_CHECKS == checks.REVISION
