"""Gate `contract`: the recorded runs of a version still show what its suite expects, on every runtime it may use."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from penstock.contracts.release import Release
from penstock.contracts.suite import ContractSuite
from penstock.engine.runtimes import usable_runtimes
from penstock.gates.case_report import CaseReport, Recorded
from penstock.gates.context import GateContext
from penstock.gates.faults import suite_faults, suite_path
from penstock.gates.gate import Finding, gate
from penstock.gates.recordings import read_recording, suite_digest


def _reads(context: GateContext) -> Mapping[str, Any]:
    baseline = compared_with(context)
    versions = [context.version, *([baseline.version] if baseline is not None else [])]
    return {
        "suite": suite_digest(context.registry, context.agent, *versions),
        "baseline": baseline.digest if baseline is not None else None,
        "runtimes": usable_runtimes(context.registry, context.release),
    }


@gate("contract", revision=1, reads=_reads)
def contract(context: GateContext, *, timeout_s: Annotated[int, Field(ge=1, le=3_600)] = 120) -> Finding:
    """Replays every case of the agent's suite on each capable runtime, all within `timeout_s` seconds.

    Passed = the expectations are met on each and the runtimes agree. A missing or stale recording fails, and so does a
    broken suite, with its places. Where prod serves another recorded version, changed sequences are shown, and fail if
    the suite says `sequence: block`. Raises (so: errored) when a replay itself broke.
    """
    broken = suite_faults(context.registry, context.agent)
    if broken:
        listed = [str(fault) for fault in broken]
        return Finding("failed", f"the suite is broken: {listed[0]}", artifacts={"faults": listed})
    suite = context.registry.suites.get(context.agent)
    if suite is None:
        return Finding("failed", f"there is no contract suite: write {suite_path(context.agent)}")
    recorded, lacking = _recorded(context, suite)
    if lacking:
        again = f"run `agentctl record {context.agent}@{context.version}`"
        reason = f"{len(lacking)} of {len(suite.spec.cases)} recordings are missing or stale: {lacking[0]}; {again}"
        return Finding("failed", reason, artifacts={"recordings": lacking})
    # The engine is loaded only by who replays: `validate` asks for this gate's parameters alone.
    from penstock.gates.case_replay import replay_cases

    compared = compared_with(context)
    runtimes, reports = replay_cases(context, recorded, compared, timeout_s)
    return _judge(suite, reports, runtimes, compared.version if compared is not None else "")


def _recorded(context: GateContext, suite: ContractSuite) -> tuple[Recorded, list[str]]:
    """The cases with their recordings, and what is missing or stale."""
    recorded, lacking = [], []
    for case in suite.spec.cases:
        journal, problem = read_recording(context.registry, context.release, case)
        if journal is None:
            lacking.append(problem)
        else:
            recorded.append((case, journal))
    return recorded, lacking


def _judge(suite: ContractSuite, reports: list[CaseReport], runtimes: list[str], against: str) -> Finding:
    failed = [report for report in reports if report.faults]
    changed = [report.case for report in reports if report.changed]
    measured = {"cases": len(reports), "passed": len(reports) - len(failed), "changedSequences": len(changed)}
    artifacts = {"cases": [report.as_document() for report in reports], "runtimes": runtimes}
    if failed:
        first = f"{failed[0].case}: {failed[0].faults[0]}"
        return Finding(
            "failed", f"{len(failed)} of {len(reports)} cases failed: {first}", measured, artifacts=artifacts
        )
    if changed and suite.spec.sequence == "block":
        reason = f"the sequence of {len(changed)} cases changed against {against}: {', '.join(changed)}"
        return Finding("failed", reason, measured, artifacts=artifacts)
    shown = f"; {len(changed)} with another sequence than {against}" if changed else ""
    reason = f"{len(reports)} cases hold on {' and '.join(runtimes)}{shown}"
    return Finding("passed", reason, measured, artifacts=artifacts)


def compared_with(context: GateContext) -> Release | None:
    """What prod serves, where that is another release and has recordings to compare with."""
    baseline = context.baseline
    if baseline is None or baseline.digest == context.release.digest:
        return None
    return baseline if context.registry.recordings.get((context.agent, baseline.version)) else None
