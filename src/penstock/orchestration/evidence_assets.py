"""Evidence before each stage as an asset, each gate as one of its checks.

The checks show; the authority is the stored evidence, which the route reads again.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from penstock.contracts.policy import Stage
from penstock.errors import NotFound
from penstock.gates.evidence import EvidenceView, StandingGate
from penstock.gates.gate import find_gate
from penstock.orchestration.gate_metadata import gate_figures, gate_metadata
from penstock.orchestration.partitions import RELEASES, parse_key, partitioned_check
from penstock.orchestration.release_path import ReleasePath, failing
from penstock.orchestration.report_link import report_link
from penstock.registry.resolve import resolve
from penstock.release.entries import store_release


@dg.asset(
    partitions_def=RELEASES,
    group_name="release_path",
    kinds={"git"},
    description="One version of an agent with everything that it pins, by digest.",
)
def release(context: dg.AssetExecutionContext, path: ReleasePath) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Resolves the version at the base branch's head; with `driver = dagster` it is put into the release store."""
    agent, version = parse_key(context.partition_key)
    with failing(), path.workspace() as workspace:
        head = workspace.base_head()
        resolved = resolve(workspace.registry(head), agent, version, allow_retired=True)
        if workspace.settings.driver == "dagster":
            store_release(workspace, resolved)
    parts = [resolved.release.agent, resolved.release.prompt, *resolved.release.all_tools]
    parts += [*resolved.release.policies, *resolved.release.models]
    rows = [dg.TableRecord({"document": part.ref, "digest": part.digest}) for part in parts]
    return dg.MaterializeResult(
        metadata={
            "digest": resolved.release.digest,
            "documents": len(parts),
            "closure": dg.MetadataValue.table(rows),
            "commit": head,
        }
    )


def evidence_asset(stage: Stage, gates: list[str], pool: str | None = None) -> dg.AssetsDefinition:
    """The evidence before `stage`, with a blocking check for each gate that the pipeline names there.

    Of those that share `pool` no more run at once than its limit.
    """
    name = f"{stage}_evidence"
    specs = [partitioned_check(check_name(gate), name, RELEASES, told(gate), blocking=True) for gate in gates]

    @dg.asset(
        name=name,
        partitions_def=RELEASES,
        deps=[release],
        check_specs=specs,
        group_name="release_path",
        kinds={"python"},
        pool=pool,
        description=f"What the gates before {stage} found of one release: what an approval binds to.",
    )
    def evidence(context: dg.AssetExecutionContext, path: ReleasePath) -> Iterator[Any]:
        agent, version = parse_key(context.partition_key)
        with failing(), path.workspace() as workspace:
            view = path.evidence(workspace, agent, version, stage)
            link = report_link(workspace, view)
        yield dg.MaterializeResult(metadata={**evidence_metadata(view), "report": link})
        for gate in view.gates:
            if gate.stage == stage:
                yield check_result(gate, name, link)

    return evidence


def check_name(gate: str) -> str:
    """A gate's name as Dagster takes it: without hyphens."""
    return gate.replace("-", "_")


def told(gate: str) -> str:
    """What a check says of its gate: the first line of the gate's own words."""
    try:
        words = (find_gate(gate).__doc__ or "").strip().partition("\n")[0]
    except NotFound:  # the evidence says so
        words = ""
    return f"Gate {gate}. {words}".strip()


def check_result(gate: StandingGate, asset: str, report: dg.MetadataValue) -> dg.AssetCheckResult:
    """One gate's verdict with what it found; only a gate that is open does not block."""
    result = gate.result
    metadata: dict[str, Any] = {"why": f"{gate.verdict}: {gate.reason}", "verdict": gate.verdict, "report": report}
    if result is not None:
        metadata |= gate_metadata(result)
        metadata |= {"measured": dg.MetadataValue.json(result.measured), "limit": dg.MetadataValue.json(result.limit)}
        metadata |= {"result": result.id, "finished": result.finished_at}
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(asset),
        check_name=check_name(gate.gate),
        passed=gate.is_open,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{gate.verdict}: {gate.reason}",
        metadata=metadata,
    )


def evidence_metadata(view: EvidenceView) -> dict[str, Any]:
    """The verdict's one sentence first, then digests, and the numbers of all gates by the gate's name."""
    results = [gate.result for gate in view.gates if gate.result is not None and gate.stage == view.stage]
    figures = {f"{one.gate}: {name}": value for one in results for name, value in gate_figures(one).items()}
    columns = ("stage", "gate", "verdict", "reason")
    rows = [dg.TableRecord({column: str(getattr(gate, column)) for column in columns}) for gate in view.gates]
    return {
        "why": f"{view.verdict}: {view.sentence}",
        "verdict": view.verdict,
        "evidence": view.digest,
        "release": view.evidence.release,
        "gates": dg.MetadataValue.table(rows) if rows else "none",
        "gates passed": sum(gate.is_open for gate in view.gates),
        **figures,
    }
