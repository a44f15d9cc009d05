from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.contracts.pipeline import Pipeline
from penstock.contracts.release import Release
from penstock.errors import Unavailable
from penstock.gates.context import GateContext
from penstock.gates.evidence import find_evidence, gates_before, store_evidence
from penstock.gates.gate import Finding, gate
from penstock.gates.stage import run_stage

Contexts = Callable[..., GateContext]
Pipelines = Callable[..., Pipeline]
Releases = Callable[..., Release]

WORLD = SimpleNamespace(suite="sha256:1", outcome="passed", runs=0)


@gate("world", revision=1, reads=lambda context: {"suite": WORLD.suite})
def world(context: GateContext, *, strict: bool = False) -> Finding:
    WORLD.runs += 1
    if WORLD.outcome == "errored":
        raise Unavailable("the model server is away")
    return Finding(WORLD.outcome, f"run {WORLD.runs} says {WORLD.outcome}")


def _production(context: GateContext) -> dict[str, Any]:
    return {"baseline": context.baseline.digest if context.baseline else None}


@gate("against-production", revision=1, reads=_production)
def against_production(context: GateContext) -> Finding:
    return Finding("passed", "no worse than production")


@gate("live", revision=1, reads=lambda context: {"window": WORLD.suite}, reuse=frozenset({"passed"}))
def live(context: GateContext) -> Finding:
    WORLD.runs += 1
    return Finding(WORLD.outcome, f"look {WORLD.runs}")


@pytest.fixture(autouse=True)
def fresh_world() -> None:
    WORLD.suite, WORLD.outcome, WORLD.runs = "sha256:1", "passed", 0


@pytest.fixture
def pipeline(pipeline_of: Pipelines) -> Pipeline:
    return pipeline_of(dev=[{"gate": "world"}], prod=[{"gate": "live"}])


def test_gates_of_earlier_stages_count_too(pipeline_of: Pipelines) -> None:
    pipeline = pipeline_of(
        dev=[{"gate": "world"}, {"gate": "world", "params": {"strict": True}}],
        canary=[{"gate": "world"}],
        prod=[{"gate": "live"}],
    )
    uses = gates_before(pipeline, "prod")
    assert [(stage, use.gate, use.params) for stage, use in uses] == [
        ("dev", "world", {}),
        ("dev", "world", {"strict": True}),
        ("prod", "live", {}),
    ]
    assert [use.gate for _, use in gates_before(pipeline, "canary")] == ["world", "world"]


def test_released_results_are_stored_and_found_again(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    first = run_stage(made, pipeline, "canary")
    assert list(records.kept.values()) == first
    assert run_stage(made, pipeline, "canary") == first
    assert WORLD.runs == 1
    view = find_evidence(made, pipeline, "canary")
    assert (view.verdict, view.sentence, view.passed) == ("passed", "world passed", True)
    store_evidence(made, view)
    assert records.evidence == {view.digest: view.evidence}
    assert view.evidence.results == [first[0].id]
    assert view.evidence.baseline is None


def test_drafts_are_never_stored_and_never_count(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    draft = context(records=records)
    results = run_stage(draft, pipeline, "dev")
    view = find_evidence(draft, pipeline, "dev", results)
    assert (view.verdict, view.draft) == ("passed", True)
    store_evidence(draft, view)
    assert (records.kept, records.evidence) == ({}, {})
    for result in results:
        records.put_result(result)
    released = context(origin="released", records=records)
    assert find_evidence(released, pipeline, "dev").missing == ["world"]
    run_stage(released, pipeline, "dev")
    assert WORLD.runs == 2


@pytest.mark.parametrize("outcome", ["passed", "failed", "inconclusive"])
def test_what_evidence_said_is_not_asked_twice(
    context: Contexts, pipeline: Pipeline, records: Any, outcome: str
) -> None:
    made = context(origin="released", records=records)
    WORLD.outcome = outcome
    run_stage(made, pipeline, "dev")
    run_stage(made, pipeline, "dev")
    assert WORLD.runs == 1
    assert find_evidence(made, pipeline, "dev").verdict == outcome


def test_errored_is_asked_again_and_is_no_evidence(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    WORLD.outcome = "errored"
    run_stage(made, pipeline, "dev")
    view = find_evidence(made, pipeline, "dev")
    assert (view.verdict, view.missing, view.evidence.results) == ("errored", ["world"], [])
    assert view.sentence == "world: the model server is away"
    assert view.unmet == ["gate world: errored: the model server is away"]
    WORLD.outcome = "passed"
    run_stage(made, pipeline, "dev")
    assert find_evidence(made, pipeline, "dev").passed
    assert len(records.kept) == 2


def test_an_errored_repeat_does_not_take_evidence_away(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    run_stage(made, pipeline, "dev")
    before = find_evidence(made, pipeline, "dev")
    WORLD.outcome = "errored"
    run_stage(made, pipeline, "dev", again="the server was upgraded")
    assert find_evidence(made, pipeline, "dev").digest == before.digest


def test_of_live_runs_only_passed_is_found_again(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    WORLD.outcome = "inconclusive"
    run_stage(made, pipeline, "prod")
    assert find_evidence(made, pipeline, "prod").verdict == "inconclusive"
    WORLD.outcome = "passed"
    run_stage(made, pipeline, "prod")
    view = find_evidence(made, pipeline, "prod")
    assert [gate.reason for gate in view.gates] == ["run 1 says inconclusive", "look 3"]
    run_stage(made, pipeline, "prod")
    assert WORLD.runs == 3


def test_again_measures_anew_and_keeps_all_results(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    run_stage(made, pipeline, "dev")
    WORLD.outcome = "failed"
    [again] = run_stage(made, pipeline, "dev", again="flaky network")
    assert again.artifacts["again"] == "flaky network"
    assert len(records.kept) == 2
    assert find_evidence(made, pipeline, "dev").verdict == "failed"


def test_a_changed_suite_voids_the_evidence(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    run_stage(made, pipeline, "dev")
    WORLD.suite = "sha256:2"
    view = find_evidence(made, pipeline, "dev")
    assert (view.verdict, view.missing) == ("missing", ["world"])
    assert view.sentence == "world: its results are void: what it reads has changed"
    run_stage(made, pipeline, "dev")
    assert find_evidence(made, pipeline, "dev").passed


def test_changed_parameters_void_it_too(context: Contexts, pipeline_of: Pipelines, records: Any) -> None:
    made = context(origin="released", records=records)
    run_stage(made, pipeline_of(dev=[{"gate": "world"}]), "dev")
    stricter = pipeline_of(dev=[{"gate": "world", "params": {"strict": True}}])
    assert find_evidence(made, stricter, "dev").missing == ["world"]


def test_it_counts_only_while_prod_serves_its_baseline(
    context: Contexts, pipeline_of: Pipelines, records: Any, release_of: Releases
) -> None:
    pipeline = pipeline_of(dev=[{"gate": "world"}, {"gate": "against-production"}])
    one, two = release_of(version="1.0.0"), release_of(version="1.1.0")
    candidate = release_of(version="2.0.0")
    over_one = context(candidate, origin="released", records=records, baseline=one)
    run_stage(over_one, pipeline, "dev")
    view = find_evidence(over_one, pipeline, "dev")
    assert view.evidence.baseline == one.digest
    over_two = context(candidate, origin="released", records=records, baseline=two)
    assert find_evidence(over_two, pipeline, "dev").missing == ["against-production"]
    only_world = pipeline_of(dev=[{"gate": "world"}])
    assert find_evidence(over_two, only_world, "dev").passed
    assert find_evidence(over_two, only_world, "dev").evidence.baseline is None


def test_skipped_opens_nothing(context: Contexts, pipeline: Pipeline, records: Any) -> None:
    made = context(origin="released", records=records)
    WORLD.outcome = "skipped"
    run_stage(made, pipeline, "dev")
    view = find_evidence(made, pipeline, "dev")
    assert (view.passed, view.verdict, view.missing) == (False, "missing", ["world"])


def test_what_a_draft_skips_says_nothing(context: Contexts, pipeline: Pipeline) -> None:
    draft = context()
    [world] = run_stage(draft, pipeline, "dev")
    WORLD.outcome = "skipped"
    view = find_evidence(draft, pipeline, "prod", [world, *run_stage(draft, pipeline, "prod")[1:]])
    assert (view.verdict, view.sentence) == ("passed", "world passed")


def test_a_stage_without_gates_says_so(context: Contexts, pipeline_of: Pipelines) -> None:
    view = find_evidence(context(), pipeline_of(), "prod", [])
    assert (view.passed, view.sentence) == (True, "no gate stands before prod")


def test_other_gates_run_whatever_one_finds(context: Contexts, pipeline_of: Pipelines, records: Any) -> None:
    heard: list[str] = []

    class Ear:
        def started(self, gate: str) -> None:
            heard.append(f"started {gate}")

        def finished(self, result: Any, *, reused: bool) -> None:
            heard.append(f"{result.gate} {result.outcome} {reused}")

    pipeline = pipeline_of(dev=[{"gate": "world"}, {"gate": "against-production"}])
    WORLD.outcome = "failed"
    made = context(origin="released", records=records, progress=Ear())
    run_stage(made, pipeline, "dev")
    run_stage(made, pipeline, "dev")
    assert heard == [
        *("started world", "world failed False", "started against-production", "against-production passed False"),
        *("world failed True", "against-production passed True"),
    ]
