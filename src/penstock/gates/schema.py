"""Gate `schema`: what the version pins and what its change touches is valid, unchanged, owned, and without secrets."""

from collections.abc import Mapping
from typing import Any

from penstock.errors import Fault
from penstock.gates.context import GateContext
from penstock.gates.faults import pipeline_gate_faults, suite_faults
from penstock.gates.gate import Finding, gate
from penstock.governance.ownership import ownership_faults, stage_edit_faults
from penstock.governance.secrets_scan import secret_faults
from penstock.registry.change import Change, change_against
from penstock.registry.documents import Registry
from penstock.registry.immutability import immutability_faults
from penstock.registry.layout import PIPELINE, STAGES_FOLDER, TEAMS
from penstock.registry.resolve import closure_faults
from penstock.registry.source import GitSource, Source


def _reads(context: GateContext) -> Mapping[str, Any]:
    return {"commit": context.commit, "base": context.base, "authors": sorted(context.authors)}


@gate("schema", revision=2, reads=_reads)
def schema(context: GateContext) -> Finding:
    """Fails with every fault of the release's closure, of the files beside it, and of what its change touches.

    The faults are the registry's (schema, references, variables, suites), gates and parameters of the pipeline,
    changed or removed files of released versions, authors outside the owning team, hand edits of stages/, new versions
    of tools that break agents without saying so, and literal secrets. Without a base there is no change to judge: then
    the files are judged as they stand.
    """
    source, change = _change(context)
    scope = set(files_of(context.registry, context.agent, context.version))
    if change is not None:
        scope |= change.files.keys()
    faults = {fault for fault in context.registry.faults if fault.path in scope}
    faults |= set(closure_faults(context.registry, context.registry.agent(context.agent, context.version)))
    faults |= {*suite_faults(context.registry, context.agent), *pipeline_gate_faults(context.registry)}
    faults |= set(secret_faults(context.registry.source, scope))
    if change is not None and context.repository is not None:
        bot = context.settings.bot_email
        faults |= set(immutability_faults(context.repository, change))
        faults |= set(ownership_faults(context.repository, source, change, bot))
        faults |= set(stage_edit_faults(context.repository, change, bot))
        # `validate` asks for this gate's parameters alone.
        from penstock.registry.tool_compatibility import compatibility_faults, tool_changes

        faults |= set(compatibility_faults(context.registry, tool_changes(context.registry, change.added)))
    return _finding(sorted(faults), len(scope), change)


def files_of(registry: Registry, agent: str, version: str) -> list[str]:
    """What a version rests on, as `impact` knows it, and what says who may change and run it."""
    from penstock.registry.impact import dependencies, rests_on

    files = rests_on(dependencies(registry), f"agents/{agent}@{version}")
    files |= {TEAMS, PIPELINE, f"{STAGES_FOLDER}{agent}.yaml"}
    entries = registry.source.entries()
    return sorted(
        {path for path in files if path in entries} | {path for path in entries if path.startswith("runtimes/")}
    )


def _change(context: GateContext) -> tuple[Source, Change | None]:
    """What brought the version: on the base branch its own commit's change, in a draft all that differs from it."""
    source: Source = context.registry.source
    if context.repository is None or context.base is None:
        return source, None
    if context.origin == "released" and context.commit is not None:
        source = GitSource(context.repository, context.commit)
    return source, change_against(context.repository, source, context.base)


def _finding(faults: list[Fault], judged: int, change: Change | None) -> Finding:
    touched = len(change.files) if change is not None else 0
    measured = {"files": judged, "changed": touched, "faults": len(faults)}
    if faults:
        listed = [str(fault) for fault in faults]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return Finding("failed", f"{listed[0]}{more}", measured, artifacts={"faults": listed})
    return Finding("passed", f"{judged} files hold, {touched} of them changed", measured)
