"""What commands that run or show gates share: how one version is judged, shown, and turned into an exit status."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from penstock.cli.output import say
from penstock.cli.watching import watching
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.contracts.reference import Reference
from penstock.contracts.stages import StagesSpec
from penstock.errors import Fault, Invalid, NotFound
from penstock.gates.context import GateContext
from penstock.gates.draft_results import DraftResults
from penstock.gates.evidence import EvidenceView, find_evidence, gates_before, store_evidence
from penstock.gates.stage import run_stage
from penstock.registry.layout import PIPELINE
from penstock.release.lifecycle import place_of
from penstock.reporting.files import store_report, write_report
from penstock.reporting.report import Report, build_report
from penstock.store.releases import ReleaseStore

MARKS = {"passed": "ok", "failed": "no", "inconclusive": "??", "errored": "!!", "missing": "--", "skipped": "--"}
EXITS = {"failed": 1, "inconclusive": 1, "missing": 1, "errored": 3}


@dataclass(frozen=True, slots=True)
class Judged:
    """One version as the gates found it. `faults` are why there is no release to judge at all.

    `is_partial` = the verdict is of some of the gates alone, and there is no report.
    """

    agent: str
    version: str
    stage: Stage
    draft: bool
    verdict: str
    sentence: str
    report: Path | None = None
    view: EvidenceView | None = None
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = field(default=())
    is_partial: bool = False

    @property
    def evidence(self) -> str | None:
        """What an approval binds to; None for a draft, and where only some gates were asked."""
        return None if self.view is None or self.draft or self.is_partial else self.view.digest

    @property
    def name(self) -> str:
        """agent@version."""
        return f"{self.agent}@{self.version}"

    def as_document(self) -> dict[str, Any]:
        """The verdict as a JSON object."""
        gates = [] if self.view is None else self.view.gates
        return {
            "agent": self.agent,
            "version": self.version,
            "stage": self.stage,
            "draft": self.draft,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "evidence": self.evidence,
            "gates": [
                {
                    "stage": gate.stage,
                    "gate": gate.gate,
                    "outcome": gate.verdict,
                    "reason": gate.reason,
                    "result": None if gate.result is None else gate.result.id,
                }
                for gate in gates
            ],
            "faults": [fault.as_dict() for fault in self.faults],
            "notes": list(self.notes),
            "report": None if self.report is None else str(self.report),
        }

    def as_text(self) -> str:
        """The verdict as lines: the sentence, each gate, where the report is."""
        origin = " (draft: does not count)" if self.draft else ""
        lines = [f"{self.name} before {self.stage}: {self.verdict}{origin}", f"  {self.sentence}"]
        lines += [f"  {fault}" for fault in self.faults]
        for gate in self.view.gates if self.view is not None else ():
            lines.append(f"  [{MARKS[gate.verdict]}] {gate.gate}: {gate.reason}")
        lines += [f"  note: {note}" for note in self.notes]
        if self.evidence is not None:
            lines.append(f"  evidence {self.evidence}")
        if self.report is not None:
            lines.append(f"  report {self.report}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a stage's gates is asked: these alone (none named: all), or nothing but what was `found` before.

    `again` is the reason to measure anew what was found; None = it is not. `drafts` keeps the results of drafts; None =
    they are not kept.
    """

    gates: tuple[str, ...] = ()
    found: bool = False
    again: str | None = None
    drafts: DraftResults | None = None

    def require_gates(self, pipeline: Pipeline, stage: Stage) -> None:
        """Raises `NotFound` for a gate that does not stand before the stage."""
        known = [use.gate for _, use in gates_before(pipeline, stage)]
        unknown = [gate for gate in self.gates if gate not in known]
        if unknown:
            now = f"the gates before {stage} are: {', '.join(known) or 'none'}"
            raise NotFound(f"no gate {unknown[0]!r} stands before {stage}", where=PIPELINE, now=now)


EVERY_GATE = Asked()


class Terminal:
    """Says on stderr which gate runs, where somebody watches."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.watched = sys.stderr.isatty()

    def started(self, gate: str) -> None:
        """A gate begins."""
        if self.watched:
            say(f"{self.name}: {gate} ...")

    def finished(self, result: GateResult, *, reused: bool) -> None:
        """A gate's result stands."""
        if self.watched:
            say(f"{self.name}: {result.gate} {result.outcome}{' (found again)' if reused else ''}")


def parse_version(text: str) -> tuple[str, str]:
    """AGENT@V as name and version; raises `WrongUse`."""
    reference = Reference.parse(text, "agents")
    if reference.folder != "agents":
        raise click.BadParameter(f"{text!r} is no agent")
    return reference.name, reference.version


def next_stage(spec: StagesSpec | None, version: str) -> Stage:
    """The stage that a version would go to next; prod for one that stands there, or stood."""
    place = place_of(spec, version) if spec is not None else None
    order: dict[str | None, Stage] = {None: "dev", "dev": "canary"}
    return order.get(place, "prod")


def judge(
    context: GateContext,
    pipeline: Pipeline,
    stage: Stage,
    *,
    source: str,
    releases: ReleaseStore | None = None,
    asked: Asked = EVERY_GATE,
) -> Judged:
    """Runs the gates before a stage, keeps what counts, writes the report; of some gates alone it only tells.

    Raises `NotFound` for a gate that does not stand before the stage.
    """
    results: Sequence[GateResult] = []
    if not asked.found:
        asked.require_gates(pipeline, stage)
        with watching() as watch:
            seen = replace(context, watch=watch)
            results = run_stage(seen, pipeline, stage, again=asked.again, only=asked.gates or None, drafts=asked.drafts)
    if asked.drafts is not None:
        results = list(asked.drafts.results(context.release.digest))
    view = find_evidence(context, pipeline, stage, None if context.origin == "released" else results)
    if asked.gates:
        return _of_some_gates(view, asked.gates)
    if releases is not None and not view.draft:
        store_evidence(context, view)
        store_report(releases, report_of(context, view, source=source))
    return written(context, view, source=source, releases=releases)


def _of_some_gates(view: EvidenceView, gates: Sequence[str]) -> Judged:
    view = replace(view, gates=tuple(gate for gate in view.gates if gate.gate in gates))
    told = ", ".join(f"{gate.gate} {gate.verdict}" for gate in view.gates)
    sentence = told if view.passed else view.sentence
    return Judged(view.agent, view.version, view.stage, view.draft, view.verdict, sentence, view=view, is_partial=True)


def written(context: GateContext, view: EvidenceView, *, source: str, releases: ReleaseStore | None = None) -> Judged:
    """The verdict of a view, with its report written into the project; `releases` knows the approvals so far."""
    place = write_report(context.settings.root, report_of(context, view, source=source, releases=releases))
    return Judged(view.agent, view.version, view.stage, view.draft, view.verdict, view.sentence, place, view)


def report_of(context: GateContext, view: EvidenceView, *, source: str, releases: ReleaseStore | None = None) -> Report:
    """The report on a view, with the approvals so far."""
    approvals = releases.approvals(view.digest) if releases is not None and not view.draft else []
    return build_report(
        view,
        context.release,
        source=source,
        baseline=context.baseline,
        authors=context.authors,
        approvals=approvals,
    )


def unresolved(agent: str, version: str, stage: Stage, error: Invalid, *, draft: bool) -> Judged:
    """A version whose faults keep it from being a release: there is nothing that a result could be about."""
    count = len(error.faults)
    sentence = f"schema: {count} fault{'s' if count != 1 else ''} in what it pins" if count else error.what
    return Judged(agent, version, stage, draft, "failed", sentence, faults=tuple(error.faults))


def exit_status(judged: Sequence[Judged]) -> int:
    """0 all passed; 1 the evidence says no, or does not say; 3 there is none for lack of an environment."""
    verdicts = {one.verdict for one in judged}
    worst = next((verdict for verdict in ("failed", "inconclusive", "missing", "errored") if verdict in verdicts), "")
    return EXITS.get(worst, 0)
