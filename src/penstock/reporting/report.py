"""The report on one version before one stage: what a person reads, and what an approval refers to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from penstock.contracts.evidence import Approval, Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.release import Release

REPORT_SCHEMA = "penstock.dev/report/v1"
DRAFT = "draft"


class GateLine(Protocol):
    """One gate as a report shows it (`penstock.gates.evidence.StandingGate`)."""

    @property
    def stage(self) -> str:
        """The stage whose rules name the gate."""
        ...

    @property
    def gate(self) -> str:
        """The gate's name."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its parameters, defaults filled in."""
        ...

    @property
    def result(self) -> GateResult | None:
        """Its result, None where it has none."""
        ...

    @property
    def verdict(self) -> str:
        """The result's outcome, or missing."""
        ...

    @property
    def reason(self) -> str:
        """One sentence."""
        ...


class Judged(Protocol):
    """All gates before a stage (`penstock.gates.evidence.EvidenceView`)."""

    @property
    def stage(self) -> str:
        """The stage that the gates stand before."""
        ...

    @property
    def gates(self) -> Sequence[GateLine]:
        """In order."""
        ...

    @property
    def evidence(self) -> Evidence:
        """What the results come to."""
        ...

    @property
    def verdict(self) -> str:
        """The worst of all gates."""
        ...

    @property
    def sentence(self) -> str:
        """The one sentence why."""
        ...

    @property
    def draft(self) -> bool:
        """Whether nothing of this counts."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """A report as `report.json` has it; `document` is JSON and holds no time of its own."""

    document: dict[str, Any]

    @property
    def folder(self) -> str:
        """Its place below reports/: <agent>/<version>/<hex of the evidence>, or `draft` for what never counts."""
        name = DRAFT if self.document["draft"] else str(self.document["evidence"]).removeprefix("sha256:")
        return f"{self.document['agent']}/{self.document['version']}/{name}"


def build_report(
    judged: Judged,
    release: Release,
    *,
    source: str,
    baseline: Release | None = None,
    authors: Iterable[str] = (),
    approvals: Iterable[Approval] = (),
) -> Report:
    """Puts together what is known; `source` names the commit or the working tree that was judged."""
    results = [line.result for line in judged.gates if line.result is not None]
    document: dict[str, Any] = {
        "schema": REPORT_SCHEMA,
        "draft": judged.draft,
        "verdict": judged.verdict,
        "sentence": judged.sentence,
        "agent": release.name,
        "version": release.version,
        "stage": judged.stage,
        "evidence": None if judged.draft else judged.evidence.digest,
        "gates": [_gate_document(line) for line in judged.gates],
        "release": {"digest": release.digest, "closure": closure(release)},
        "baseline": None if baseline is None else {"version": baseline.version, "digest": baseline.digest},
        "changes": [] if baseline is None else closure_changes(closure(baseline), closure(release)),
        "suites": sorted({result.suite for result in results if result.suite}),
        "datasets": sorted({result.dataset for result in results if result.dataset}),
        "source": source,
        "authors": sorted(authors),
        "approvals": [_approval_document(approval) for approval in approvals],
    }
    return Report(document)


def closure(release: Release) -> list[dict[str, Any]]:
    """Every document of the release with its digest; of tools also that of their code and how many files it has."""
    lines: list[dict[str, Any]] = [
        {"ref": component.ref, "digest": component.digest}
        for component in (release.agent, release.prompt, *release.policies, *release.models)
    ]
    tools = [
        {
            "ref": tool.ref,
            "digest": tool.digest,
            "code": tool.code_digest,
            "files": len(tool.files),
            "params": tool.params,
        }
        for tool in release.all_tools
    ]
    return sorted([*lines, *tools], key=lambda line: str(line["ref"]))


def closure_changes(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the release brings against production, document by document: changed, added or removed; sorted.

    A document is changed when its version, its content, its code or its parameters are not the same.
    """
    old, new = ({line["ref"].partition("@")[0]: line for line in lines} for lines in (before, after))
    return [
        {
            "document": name,
            "kind": "added" if name not in old else "removed" if name not in new else "changed",
            "before": old[name]["ref"] if name in old else None,
            "after": new[name]["ref"] if name in new else None,
        }
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _gate_document(line: GateLine) -> dict[str, Any]:
    found = line.result.as_document() if line.result is not None else {}
    return {
        "stage": line.stage,
        "gate": line.gate,
        "outcome": line.verdict,
        "reason": line.reason,
        "parameters": dict(line.parameters),
        "measured": found.get("measured"),
        "limit": found.get("limit"),
        "startedAt": found.get("startedAt"),
        "finishedAt": found.get("finishedAt"),
        "result": found.get("id"),
        "inputs": found.get("inputs"),
        "artifacts": found.get("artifacts", {}),
    }


def _approval_document(approval: Approval) -> dict[str, Any]:
    return {**approval.as_document(), "digest": approval.digest}
