"""Gate `contract`: the recorded runs of a version still show what its suite expects, on every runtime it may use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from penstock.contracts.canonical import canonical
from penstock.contracts.release import Release
from penstock.contracts.suite import ContractCase, ContractSuite
from penstock.engine.journal import Journal
from penstock.engine.router import RuntimeRouter
from penstock.errors import PenstockError
from penstock.gates.context import GateContext
from penstock.gates.event_pattern import first_mismatch
from penstock.gates.faults import suite_faults, suite_path
from penstock.gates.gate import Finding, gate
from penstock.gates.output_expectation import output_faults
from penstock.gates.recordings import read_recording, suite_digest
from penstock.gates.replay import Replayed, Replayer, within
from penstock.gates.runtimes import own_runtime, usable_runtimes
from penstock.gates.sequence import sequence_difference
from penstock.registry.resolve import resolve

Recorded = list[tuple[ContractCase, Journal]]


@dataclass(slots=True)
class CaseReport:
    """What the replays of one case showed; `faults` empty = the case passed."""

    case: str
    faults: list[str] = field(default_factory=list)
    sequence: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    runtimes: list[str] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "case": self.case,
            "faults": self.faults,
            "sequence": self.sequence,
            "changedAgainstBaseline": self.changed,
            "runtimes": self.runtimes,
        }


def _reads(context: GateContext) -> Mapping[str, Any]:
    baseline = _compared(context)
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
    runtimes = _runtimes(context)
    reports = within(_replay_all(context, recorded, runtimes), timeout_s)
    compared = _compared(context)
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


def _runtimes(context: GateContext) -> list[str]:
    """The capable and installed runtimes; raises what `choose` raises when the agent's own is not among them."""
    router = RuntimeRouter(context.registry.runtimes)
    own = own_runtime(context.release, context.settings.default_runtime)
    router.choose(context.release, own, own)
    return sorted({own, *router.matching(context.release)})


async def _replay_all(context: GateContext, recorded: Recorded, runtimes: list[str]) -> list[CaseReport]:
    router = RuntimeRouter(context.registry.runtimes)
    replayer = Replayer(router, context.release, context.resolved.blobs[context.release.prompt.body])
    before = _Before.of(context, router)
    reports = []
    for case, journal in recorded:
        replays = [await replayer.replay(case, journal, runtime) for runtime in runtimes]
        report = CaseReport(case.name, runtimes=runtimes, sequence=[str(step) for step in replays[0].steps])
        for replayed in replays:
            report.faults += _unmet(case, replayed)
        report.faults += _disagreements(replays)
        if before is not None:
            report.changed = await before.difference(case, replays[0])
        reports.append(report)
    return reports


def _unmet(case: ContractCase, replayed: Replayed) -> list[str]:
    on = f"on {replayed.runtime}"
    if replayed.missed:
        return [f"{on}: {replayed.missed}"]
    faults = []
    mismatch = first_mismatch(case.expect.events, replayed.steps)
    if mismatch is not None:
        failure = replayed.result.failure
        why = f"; the run {replayed.result.status}: {failure.what}" if failure is not None else ""
        faults.append(f"{on}: {mismatch}{why}")
    return faults + [f"{on}: {fault}" for fault in output_faults(case.expect.output, replayed.output)]


def _disagreements(replays: list[Replayed]) -> list[str]:
    """One sentence for each runtime whose events or output are not those of the first."""
    first, *others = replays
    faults = []
    for other in others:
        pair = f"{first.runtime} and {other.runtime} disagree"
        if first.steps != other.steps:
            names = (first.runtime, other.runtime)
            difference = sequence_difference(first.steps, other.steps, names)
            faults.append(f"{pair} on the events: {' '.join(difference[3:]) or 'equal types, other calls or results'}")
        if canonical(first.output) != canonical(other.output):
            faults.append(f"{pair} on the output")
    return faults


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


def _compared(context: GateContext) -> Release | None:
    """What prod serves, where that is another release and has recordings to compare with."""
    baseline = context.baseline
    if baseline is None or baseline.digest == context.release.digest:
        return None
    return baseline if context.registry.recordings.get((context.agent, baseline.version)) else None


@dataclass(frozen=True, slots=True)
class _Before:
    """The baseline's recordings, replayed on its own runtime."""

    context: GateContext
    release: Release
    replayer: Replayer
    runtime: str

    @classmethod
    def of(cls, context: GateContext, router: RuntimeRouter) -> "_Before | None":
        baseline = _compared(context)
        if baseline is None:
            return None
        resolved = resolve(context.registry, baseline.name, baseline.version, allow_retired=True)
        if resolved.release.digest != baseline.digest:
            raise PenstockError(
                f"prod serves {baseline.digest} as {baseline.name}@{baseline.version}, and here it is another release",
                where=context.registry.source.label,
                now="rebase onto the base branch, or `agentctl reconcile`",
            )
        replayer = Replayer(router, baseline, resolved.blobs[baseline.prompt.body])
        return cls(context, baseline, replayer, own_runtime(baseline, context.settings.default_runtime))

    async def difference(self, case: ContractCase, after: Replayed) -> list[str]:
        """How the sequence of a case changed; empty when it did not, or was not recorded for the baseline."""
        journal, _ = read_recording(self.context.registry, self.release, case)
        if journal is None:
            return []
        before = await self.replayer.replay(case, journal, self.runtime)
        return sequence_difference(before.steps, after.steps, (self.release.version, self.context.version))
