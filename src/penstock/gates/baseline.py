"""What prod serves, as the registry at hand resolves it: with its blobs, so that it can be run again."""

from penstock.contracts.release import Release
from penstock.engine.runtimes import own_runtime
from penstock.errors import Conflict
from penstock.gates.context import GateContext
from penstock.registry.resolve import Resolved, resolve


def resolved_baseline(context: GateContext, baseline: Release) -> Resolved:
    """The baseline with its blobs; raises `Conflict` where the registry makes another release of that version."""
    resolved = resolve(context.registry, baseline.name, baseline.version, allow_retired=True)
    if resolved.release.digest != baseline.digest:
        raise Conflict(
            f"prod serves {baseline.digest} as {baseline.name}@{baseline.version}, and here it is another release",
            where=context.registry.source.label,
            now="rebase onto the base branch, or `agentctl reconcile`",
        )
    return resolved


def baseline_runtime(context: GateContext, baseline: Release) -> str:
    """The runtime that prod runs it on: the table's, which may differ from the agent's own."""
    prod = context.routes.prod if context.routes is not None else None
    if prod is not None and prod.release == baseline.digest:
        return prod.runtime
    return own_runtime(baseline, context.settings.default_runtime)
