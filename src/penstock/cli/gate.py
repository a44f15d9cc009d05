"""`agentctl contract`: one gate by itself, on the working tree."""

from dataclasses import replace

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.cli.verdict import EXITS, Terminal, parse_version
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.gates.context import GateContext
from penstock.gates.draft import draft_context
from penstock.gates.evidence import gates_before
from penstock.gates.gate import require_gates, run_gate
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource


@click.command()
@click.argument("version", metavar="AGENT@V")
@click.option("--against", metavar="V", help="Compare sequences with this version; default: what prod has.")
@json_option
def contract(version: str, against: str | None, as_json: bool) -> int:
    """Replays the contract suite of a version of the working tree, on every runtime that it may use.

    The result is a draft: shown, never counted.
    """
    settings = project_settings()
    registry = load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)
    agent, number = parse_version(version)
    context = draft_context(settings, registry, agent, number, progress=Terminal(version))
    if against is not None:
        context = replace(context, baseline=resolve(registry, agent, against, allow_retired=True).release)
    result = run_gate(context, gate_use(registry, "contract"))
    show(result.as_document(), _as_text(context, result), as_json=as_json)
    return EXITS.get(result.outcome, 0)


def gate_use(registry: Registry, gate: str) -> GateUse:
    """The gate as the pipeline uses it first, or with its defaults."""
    if registry.pipeline is not None:
        require_gates(registry.pipeline)
        for _, use in gates_before(registry.pipeline, "prod"):
            if use.gate == gate:
                return use
    return GateUse.model_validate({"gate": gate})


def _as_text(context: GateContext, result: GateResult) -> str:
    lines = [f"{context.agent}@{context.version} {result.gate}: {result.outcome}", f"  {result.reason}"]
    for case in result.artifacts.get("cases", []):
        lines.append(f"  [{'no' if case['faults'] else 'ok'}] {case['case']}: {' '.join(case['sequence'])}")
        lines += [f"      {fault}" for fault in case["faults"]]
        lines += [f"      {line}" for line in case["changedAgainstBaseline"]]
    for key in ("faults", "recordings"):
        lines += [f"  {line}" for line in result.artifacts.get(key, [])]
    return "\n".join(lines)
