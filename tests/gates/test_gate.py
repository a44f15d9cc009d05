from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import Field

from penstock.contracts.pipeline import GateUse, Pipeline
from penstock.errors import Fault, Invalid, NotFound, PenstockError, Unavailable
from penstock.gates.context import GateContext
from penstock.gates.gate import GATES, Finding, find_gate, gate, parameter_faults, require_gates, run_gate

Contexts = Callable[..., GateContext]
Pipelines = Callable[..., Pipeline]


@gate("test-limit", revision=3, reads=lambda context: {"suite": "sha256:aa"})
def limit(context: GateContext, *, at_most: Annotated[int, Field(ge=0)] = 3, label: str = "x") -> Finding:
    """A gate of this test."""
    return Finding(
        "passed", f"{context.agent} is below {at_most}", measured=1, limit=at_most, artifacts={"label": label}
    )


@gate("test-broken", revision=1)
def broken(context: GateContext, *, away: bool = False) -> Finding:
    """A gate that never answers."""
    if away:
        raise Unavailable("the database is away", now="start it")
    raise RuntimeError("boom")


def use(name: str, **params: Any) -> GateUse:
    return GateUse.model_validate({"gate": name, "params": params})


def test_a_result_names_everything_that_was_read(context: Contexts) -> None:
    made = context()
    result = run_gate(made, use("test-limit", atMost=5))
    assert (result.outcome, result.reason, result.measured, result.limit) == ("passed", "echo is below 5", 1, 5)
    assert result.inputs == {
        "release": made.release.digest,
        "baseline": None,
        "suite": "sha256:aa",
        "dataset": None,
        "scorers": None,
        "parameters": {"atMost": 5, "label": "x"},
        "runtimes": None,
        "revision": 3,
    }
    assert result.suite == "sha256:aa"
    assert result.id == result.computed_id
    assert result.origin == "draft"
    assert result.started_at <= result.finished_at
    assert result.started_at.endswith("Z")


def test_written_defaults_and_absent_ones_are_the_same_inputs(context: Contexts) -> None:
    made = context()
    results = [run_gate(made, use("test-limit")), run_gate(made, use("test-limit", atMost=3))]
    assert results[0].inputs_digest == results[1].inputs_digest
    assert run_gate(made, use("test-limit", atMost=4)).inputs_digest != results[0].inputs_digest


def test_an_exception_is_errored_with_its_sentence_and_never_passed(context: Contexts) -> None:
    result = run_gate(context(), use("test-broken"))
    assert (result.outcome, result.reason) == ("errored", "RuntimeError: boom")
    assert "Traceback" in result.artifacts["log"]
    away = run_gate(context(), use("test-broken", away=True))
    assert (away.outcome, away.reason) == ("errored", "the database is away")


def test_broken_input_is_errored_with_its_first_fault_and_all_of_them_beside_it(context: Contexts) -> None:
    @gate("test-faults", revision=1)
    def faulty(context: GateContext) -> Finding:
        faults = [Fault("cases.jsonl", line, 1, "id", "is there twice", "rename it") for line in (7, 3)]
        raise Invalid("the dataset has faults", where="cases.jsonl", now="mend the lines", faults=faults)

    result = run_gate(context(), use("test-faults"))
    first = "cases.jsonl:3:1: id: is there twice (rename it)"
    assert (result.outcome, result.reason) == ("errored", f"the dataset has faults: {first} (and 1 more)")
    assert result.artifacts["faults"] == [first, first.replace(":3:", ":7:")]


def test_an_interrupt_is_not_a_finding(context: Contexts) -> None:
    @gate("test-interrupted", revision=1)
    def interrupted(context: GateContext) -> Finding:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_gate(context(), use("test-interrupted"))


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"atmost": 3}, "unknown parameter 'atmost' (did you mean 'atMost'?; gate 'test-limit' takes: atMost, label)"),
        ({"at_most": 3}, "unknown parameter 'at_most'"),
        ({"atMost": "3"}, "should be a valid integer"),
        ({"atMost": True}, "should be a valid integer"),
        ({"atMost": -1}, "greater than or equal to 0"),
    ],
)
def test_parameters_are_the_gates_own(params: dict[str, Any], sentence: str) -> None:
    [fault] = parameter_faults(use("test-limit", **params), ("spec", "stages", "dev", "gates", 1))
    assert sentence in str(fault)
    assert fault.path == "pipelines/release.yaml"
    assert fault.pointer.startswith("spec.stages.dev.gates[1].params.")


def test_only_a_gate_that_compares_can_be_skipped_for_a_first_version() -> None:
    asked = GateUse.model_validate({"gate": "eval", "whenNoBaseline": "skip"})
    [fault] = parameter_faults(asked, ("spec", "stages", "canary", "gates", 0))
    assert fault.pointer == "spec.stages.canary.gates[0].whenNoBaseline"
    assert parameter_faults(GateUse.model_validate({"gate": "diff", "whenNoBaseline": "skip"})) == []


def test_every_fault_of_a_pipeline_at_once(pipeline_of: Pipelines) -> None:
    pipeline = pipeline_of(
        dev=[{"gate": "unit", "params": {"timeout": 3}}, {"gate": "schema"}],
        prod=[{"gate": "evaluation"}, {"gate": "canary-runs", "params": {"minRuns": 0, "share": 1}}],
    )
    with pytest.raises(Invalid) as caught:
        require_gates(pipeline)
    assert len(caught.value.faults) == 4
    assert "no gate 'evaluation'" in str(caught.value)
    assert "canary-runs, contract, " in str(caught.value)


def test_built_in_gates_are_found_by_name() -> None:
    assert [find_gate(name).name for name in ("canary-runs", "unit")] == ["canary-runs", "unit"]
    with pytest.raises(NotFound, match="no gate 'weather'"):
        find_gate("weather")


def test_a_name_taken_twice_names_both_places() -> None:
    with pytest.raises(PenstockError, match=r"declared twice: by .*\.limit and by .*second"):

        @gate("test-limit", revision=1)
        def second(context: GateContext) -> Finding:
            return Finding("passed", "")

    assert GATES.get("test-limit") is limit


def test_a_gate_is_still_its_function(context: Contexts) -> None:
    assert limit(context(), at_most=9, label="y").artifacts == {"label": "y"}
    assert limit.__doc__ == "A gate of this test."
