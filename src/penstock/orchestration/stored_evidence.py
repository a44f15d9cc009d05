"""The evidence that a version was moved on: what the store holds, not what would count today."""

from penstock.contracts.evidence import Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.policy import Stage
from penstock.gates.evidence import EvidenceView, StandingGate, gates_before
from penstock.gates.gate import use_parameters
from penstock.release.situation import require_pipeline
from penstock.release.workspace import Workspace


def stored_view(workspace: Workspace, agent: str, version: str, stage: Stage) -> EvidenceView | None:
    """The newest stored evidence of the version before `stage`, gate by gate; None where none was stored."""
    release = workspace.releases.named_release(agent, version)
    known = [one for one in workspace.records.evidence(release) if one.stage == stage] if release is not None else []
    if not known:
        return None
    found = [(one, [workspace.releases.get_result(name) for name in one.results]) for one in known]
    evidence, results = max(found, key=_finished)
    pipeline = require_pipeline(workspace.registry(workspace.base_head()))
    gates = tuple(
        StandingGate(
            before,
            use.gate,
            use_parameters(use),
            _result_of(results, use.gate),
            "it is not in the evidence",
            use.when_no_baseline == "skip",
        )
        for before, use in gates_before(pipeline, stage)
    )
    return EvidenceView(agent, version, stage, gates, evidence, draft=False)


def _finished(found: tuple[Evidence, list[GateResult]]) -> str:
    return max((result.finished_at for result in found[1]), default="")


def _result_of(results: list[GateResult], gate: str) -> GateResult | None:
    return next((result for result in results if result.gate == gate), None)
