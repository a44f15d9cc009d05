"""Evidence: the newest counted result of each gate of a stage and of all earlier ones, and what they say together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from penstock.contracts.evidence import Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse, Pipeline, StageRules
from penstock.contracts.policy import Stage
from penstock.errors import PenstockError
from penstock.gates.context import STAGES, GateContext
from penstock.gates.gate import find_gate, gate_inputs, use_parameters

Verdict = Literal["passed", "failed", "inconclusive", "errored", "skipped", "missing"]
_WORST_FIRST: tuple[Verdict, ...] = ("failed", "errored", "missing", "inconclusive", "passed")


@dataclass(frozen=True, slots=True)
class StandingGate:
    """One gate that stands before the stage, with the result that counts for it now.

    `stage` is the one whose rules name it. `result` None or errored = there is no evidence; `note` then says why.
    `may_skip` = the pipeline lets the version pass where the gate has nothing to compare with. `may_accept` = the
    pipeline lets people open it where its result is inconclusive; `accepted_by` are those who did.
    """

    stage: Stage
    gate: str
    parameters: dict[str, Any]
    result: GateResult | None
    note: str = ""
    may_skip: bool = False
    may_accept: bool = False
    accepted_by: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the result is evidence: there is one and it did not error."""
        return self.result is not None and self.result.outcome != "errored"

    @property
    def is_skipped(self) -> bool:
        """Whether the gate said that it cannot be asked of this release."""
        return self.result is not None and self.result.outcome == "skipped"

    @property
    def verdict(self) -> Verdict:
        """What this gate says; a gate that was skipped without the pipeline's leave opens nothing, so it is missing."""
        if self.result is None or (self.is_skipped and not self.may_skip):
            return "missing"
        return self.result.outcome

    @property
    def awaits_person(self) -> bool:
        """Whether a person may open it: its result does not decide, and the pipeline leaves that to people."""
        return self.may_accept and self.verdict == "inconclusive"

    @property
    def is_accepted(self) -> bool:
        """Whether people opened it."""
        return self.awaits_person and bool(self.accepted_by)

    @property
    def is_open(self) -> bool:
        """Whether it lets the version pass: it passed, was skipped with the pipeline's leave, or was accepted."""
        return self.verdict in {"passed", "skipped"} or self.is_accepted

    @property
    def reason(self) -> str:
        """One sentence: the result's, or why there is none."""
        return self.result.reason if self.result is not None else self.note


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """All gates before one stage and the evidence that their results make."""

    agent: str
    version: str
    stage: Stage
    gates: tuple[StandingGate, ...]
    evidence: Evidence
    draft: bool

    @property
    def digest(self) -> str:
        """What an approval binds to."""
        return self.evidence.digest

    @property
    def results(self) -> list[GateResult]:
        """The results in force, in the order of the gates, errored ones included."""
        return [gate.result for gate in self.gates if gate.result is not None]

    @property
    def missing(self) -> list[str]:
        """Names of the gates without evidence."""
        return [gate.gate for gate in self.gates if not gate.counts or gate.verdict == "missing"]

    @property
    def verdict(self) -> Verdict:
        """The worst of all gates; passed when none stands before the stage.

        What a draft skips says nothing, and what people accepted is not in the way.
        """
        found = {gate.verdict for gate in self.gates if not (self.draft and gate.is_skipped) and not gate.is_accepted}
        return next((verdict for verdict in _WORST_FIRST if verdict in found), "passed")

    @property
    def passed(self) -> bool:
        """Whether every gate is open."""
        return self.verdict == "passed"

    @property
    def awaited(self) -> list[str]:
        """Names of the gates that wait for a person's word alone."""
        return [gate.gate for gate in self.gates if gate.awaits_person and not gate.is_accepted]

    def accepted(self, people: Mapping[str, Sequence[str]]) -> "EvidenceView":
        """The same evidence with gates opened by people: gate -> who accepted its result."""
        gates = tuple(
            replace(gate, accepted_by=tuple(people.get(gate.gate, ()))) if gate.may_accept else gate
            for gate in self.gates
        )
        return replace(self, gates=gates)

    @property
    def sentence(self) -> str:
        """The one sentence why."""
        verdict = self.verdict
        if verdict != "passed":
            worst = [gate for gate in self.gates if gate.verdict == verdict and not (self.draft and gate.is_skipped)]
            more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
            return f"{worst[0].gate}: {worst[0].reason}{more}"
        if not self.gates:
            return f"no gate stands before {self.stage}"
        names = [gate.gate for gate in self.gates if not gate.is_skipped and not gate.is_accepted]
        accepted = [f"{gate.gate} accepted by {', '.join(gate.accepted_by)}" for gate in self.gates if gate.is_accepted]
        return "; ".join([f"{', '.join(names) or 'nothing'} passed", *accepted])

    @property
    def unmet(self) -> list[str]:
        """One sentence for each gate that does not let the version pass."""
        return [_unmet_sentence(gate) for gate in self.gates if not gate.is_open]


def _unmet_sentence(gate: StandingGate) -> str:
    sentence = f"gate {gate.gate}: {gate.verdict}: {gate.reason}"
    return f"{sentence}; `agentctl approve --accept {gate.gate} --reason` opens it" if gate.awaits_person else sentence


def gates_before(pipeline: Pipeline, stage: Stage) -> list[tuple[Stage, GateUse]]:
    """The gates of `stage` and of all earlier stages, in order; one named twice with equal parameters counts once."""
    uses: list[tuple[Stage, GateUse]] = []
    seen: list[tuple[str, dict[str, Any]]] = []
    for before in STAGES[: STAGES.index(stage) + 1]:
        rules: StageRules = getattr(pipeline.spec.stages, before)
        for use in rules.gates:
            key = (use.gate, use_parameters(use))
            if key not in seen:
                seen.append(key)
                uses.append((before, use))
    return uses


def find_evidence(
    context: GateContext, pipeline: Pipeline, stage: Stage, results: Iterable[GateResult] | None = None
) -> EvidenceView:
    """What `results` (default: the stored ones of this release) say before `stage`. Measures and writes nothing.

    A result counts while the gate would read the same today: suite, runtimes, parameters, revision and, where it was
    compared with production, the release that prod serves. Raises `Invalid` for a pipeline that no gate takes.
    """
    if results is None:
        results = context.records.results(context.release.digest) if context.records else ()
    known = [result for result in results if result.origin == context.origin]
    gates = tuple(_standing(context, before, use, known) for before, use in gates_before(pipeline, stage))
    counted = [gate.result for gate in gates if gate.result is not None and gate.counts]
    used_baseline = context.baseline is not None and any(result.baseline for result in counted)
    evidence = Evidence(
        release=context.release.digest,
        baseline=context.baseline.digest if context.baseline is not None and used_baseline else None,
        stage=stage,
        results=sorted(result.id for result in counted),
    )
    return EvidenceView(context.agent, context.version, stage, gates, evidence, draft=context.origin == "draft")


def store_evidence(context: GateContext, view: EvidenceView) -> None:
    """Puts the evidence of released results into the records; a draft's never is. Raises `Unavailable`."""
    if context.records is not None and not view.draft:
        context.records.put_evidence(view.evidence)


def newest(results: Sequence[GateResult]) -> GateResult | None:
    """The result that finished last."""
    return max(results, key=lambda result: (result.finished_at, result.id), default=None)


def matching_results(context: GateContext, use: GateUse, known: Iterable[GateResult]) -> list[GateResult]:
    """Results of this gate that read what it would read now. Raises what the gate's `reads` raises."""
    inputs = gate_inputs(context, use)
    probe = GateResult(
        gate=use.gate,
        outcome="errored",
        reason="",
        release=context.release.digest,
        started_at="",
        finished_at="",
        inputs=inputs,
    )
    return [result for result in known if result.gate == use.gate and result.inputs_digest == probe.inputs_digest]


def reusable_result(context: GateContext, use: GateUse, known: Iterable[GateResult]) -> GateResult | None:
    """The newest result that saves running the gate: of equal inputs, and of an outcome that the gate lets be found."""
    reuse = find_gate(use.gate).reuse
    return newest([result for result in matching_results(context, use, known) if result.outcome in reuse])


def _standing(context: GateContext, before: Stage, use: GateUse, known: Sequence[GateResult]) -> StandingGate:
    standing = StandingGate(
        before,
        use.gate,
        use_parameters(use),
        None,
        may_skip=use.when_no_baseline == "skip",
        may_accept=use.inconclusive == "person",
    )
    of_gate = [result for result in known if result.gate == use.gate]
    errored = newest([result for result in of_gate if result.outcome == "errored"])
    try:
        matching = matching_results(context, use, of_gate)
    except PenstockError as error:
        # What cannot be read was not judged either, unless the gate itself ran and says how it broke.
        return replace(standing, result=errored, note=f"what it reads cannot be read: {error.what}")
    counted = newest([result for result in matching if result.outcome != "errored"])
    if counted is not None:
        return replace(standing, result=counted)
    note = "its results are void: what it reads has changed" if of_gate else "it has not run"
    return replace(standing, result=errored, note=note)
