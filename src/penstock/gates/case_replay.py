"""The replays behind the gate `contract`: each recorded case on each runtime, against what its suite expects."""

from dataclasses import dataclass

from penstock.contracts.canonical import canonical
from penstock.contracts.release import Release
from penstock.contracts.suite import ContractCase
from penstock.engine.router import RuntimeRouter
from penstock.engine.runtimes import own_runtime
from penstock.gates.baseline import resolved_baseline
from penstock.gates.case_report import CaseReport, Recorded
from penstock.gates.context import GateContext
from penstock.gates.event_pattern import first_mismatch
from penstock.gates.output_expectation import output_faults
from penstock.gates.recordings import read_recording
from penstock.gates.replay import Replayed, Replayer, within
from penstock.gates.sequence import sequence_difference


def replay_cases(
    context: GateContext, recorded: Recorded, baseline: Release | None, timeout_s: int
) -> tuple[list[str], list[CaseReport]]:
    """The runtimes, and what the replays of each case showed on them, all within `timeout_s` seconds.

    Where there is a baseline, its recordings are replayed too and changed sequences are noted. Raises when a replay
    itself broke, or when the agent's own runtime is not to be had.
    """
    runtimes = _runtimes(context)
    return runtimes, within(_replay_all(context, recorded, runtimes, baseline), timeout_s)


def _runtimes(context: GateContext) -> list[str]:
    """The capable and installed runtimes; raises what `choose` raises when the agent's own is not among them."""
    router = RuntimeRouter(context.registry.runtimes)
    own = own_runtime(context.release, context.settings.default_runtime)
    router.choose(context.release, own, own)
    return sorted({own, *router.matching(context.release)})


async def _replay_all(
    context: GateContext, recorded: Recorded, runtimes: list[str], baseline: Release | None
) -> list[CaseReport]:
    router = RuntimeRouter(context.registry.runtimes)
    replayer = Replayer(router, context.release, context.resolved.blobs[context.release.prompt.body])
    before = _Before.of(context, router, baseline)
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


@dataclass(frozen=True, slots=True)
class _Before:
    """The baseline's recordings, replayed on its own runtime."""

    context: GateContext
    release: Release
    replayer: Replayer
    runtime: str

    @classmethod
    def of(cls, context: GateContext, router: RuntimeRouter, baseline: Release | None) -> "_Before | None":
        if baseline is None:
            return None
        resolved = resolved_baseline(context, baseline)
        replayer = Replayer(router, baseline, resolved.blobs[baseline.prompt.body])
        return cls(context, baseline, replayer, own_runtime(baseline, context.settings.default_runtime))

    async def difference(self, case: ContractCase, after: Replayed) -> list[str]:
        """How the sequence of a case changed; empty when it did not, or was not recorded for the baseline."""
        journal, _ = read_recording(self.context.registry, self.release, case)
        if journal is None:
            return []
        before = await self.replayer.replay(case, journal, self.runtime)
        return sequence_difference(before.steps, after.steps, (self.release.version, self.context.version))
