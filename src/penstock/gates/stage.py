"""Runs the gates before a stage, once each: what was found of equal inputs is not measured again."""

from collections.abc import Collection

from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse, Pipeline
from penstock.contracts.policy import Stage
from penstock.errors import PenstockError
from penstock.gates.context import GateContext, ResultRecords
from penstock.gates.evidence import gates_before, reusable_result
from penstock.gates.gate import require_gates, run_gate


def run_stage(
    context: GateContext,
    pipeline: Pipeline,
    stage: Stage,
    *,
    again: str | None = None,
    only: Collection[str] | None = None,
    drafts: ResultRecords | None = None,
) -> list[GateResult]:
    """The results of the gates of `stage` and of all earlier ones, in order; every gate runs, whatever others found.

    Released results are stored as they come; drafts never, but in `drafts`, which keeps no others. passed, failed and
    inconclusive ones of equal inputs are found again (of `canary-runs` and `shadow` only passed), errored ones never;
    `again` is a reason to measure all of them anew, and all earlier results stay. `only` names the gates that run.
    Raises `Invalid` for a pipeline that no gate takes, `Unavailable` when the records cannot be read or written.
    """
    require_gates(pipeline)
    records = context.records if context.origin == "released" else drafts
    known = list(records.results(context.release.digest)) if records is not None and again is None else []
    known = [result for result in known if result.origin == context.origin]
    results = []
    for _, use in gates_before(pipeline, stage):
        if only is not None and use.gate not in only:
            continue
        found = _reusable(context, use, known)
        if found is None and context.progress is not None:
            context.progress.started(use.gate)
        result = found or run_gate(context, use, again=again)
        if found is None and records is not None:
            records.put_result(result)
        if context.progress is not None:
            context.progress.finished(result, reused=found is not None)
        results.append(result)
    return results


def _reusable(context: GateContext, use: GateUse, known: list[GateResult]) -> GateResult | None:
    """None also when what the gate reads cannot be read: then it runs, and says so itself."""
    try:
        return reusable_result(context, use, known) if known else None
    except PenstockError:
        return None
