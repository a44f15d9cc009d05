"""`agentctl eval`: the gate `eval` by itself, on the working tree."""

from dataclasses import replace
from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.gate import gate_use
from penstock.cli.output import json_option, show
from penstock.cli.verdict import EXITS, Terminal, parse_version
from penstock.cli.watching import watching
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.gates.context import GateContext
from penstock.gates.draft import draft_context
from penstock.gates.gate import run_gate
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource

SHOWN_FLIPS = 5
SHOWN_MISSING = 20


@click.command()
@click.argument("version", metavar="AGENT@V")
@click.option("--against", metavar="V", help="Compare with this version; default: what prod has.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Run at most N cases instead of the suite's.")
@click.option("--fresh", is_flag=True, help="Run again what was run within the last 24 hours.")
@json_option
def eval(version: str, against: str | None, sample: int | None, fresh: bool, as_json: bool) -> int:  # noqa: A001
    """Runs the eval suite of a version of the working tree, beside what prod has, and says whether it holds.

    What was run before is not run again: after a Ctrl-C or a crash the same command runs what is missing. The result is
    a draft: shown, never counted. Exit status: 0 passed, 1 failed or inconclusive, 3 errored.
    """
    settings = project_settings()
    registry = load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)
    agent, number = parse_version(version)
    if sample is not None:
        _take_sample(registry, agent, sample)
    context = draft_context(settings, registry, agent, number, progress=Terminal(version))
    if against is not None:
        context = replace(context, baseline=resolve(registry, agent, against, allow_retired=True).release)
    use = gate_use(registry, "eval")
    if fresh:
        use = GateUse.model_validate({"gate": "eval", "params": {**use.params, "fresh": True}})
    with watching(quiet=as_json) as watch:
        result = run_gate(replace(context, watch=watch), use)
    show(result.as_document(), evaluation_text(context, result), as_json=as_json)
    return EXITS.get(result.outcome, 0)


def evaluation_text(context: GateContext, result: GateResult) -> str:
    """The verdict as lines: the sentence, each scorer, the first cases that flipped, the first that are missing."""
    found = result.artifacts
    lines = [f"{context.agent}@{context.version} {result.gate}: {result.outcome}", f"  {result.reason}"]
    lines += [f"  {fault}" for fault in found.get("faults", [])]
    lines += [_scorer_line(one) for one in found.get("scorers", [])]
    lines += [_flip_line(one) for one in found.get("flips", [])[:SHOWN_FLIPS]]
    more = found.get("flipsInAll", 0) - SHOWN_FLIPS
    lines += [f"  and {more} more flips" for _ in range(more > 0)]
    missing = found.get("problems", [])
    lines += [
        f"  missing: {one['side']} {one['case']} (repeat {one['repeat']}): {one['what']}"
        for one in missing[:SHOWN_MISSING]
    ]
    more = len(missing) - SHOWN_MISSING
    lines += [f"  and {more} more missing: --json names them all" for _ in range(more > 0)]
    if "run" in found:
        lines.append(_run_line(found["run"]))
    return "\n".join(lines)


def _scorer_line(one: dict[str, Any]) -> str:
    marks = {"passed": "ok", "failed": "no", "inconclusive": "??", "errored": "!!", "informs": "--"}
    mean = "" if one["mean"] is None else f" {one['mean']:.4g}"
    before = "" if one["baselineMean"] is None else f" (prod {one['baselineMean']:.4g})"
    return f"  [{marks[one['outcome']]}] {one['title']}:{mean}{before} {one['reason']}".rstrip()


def _flip_line(flip: dict[str, Any]) -> str:
    why = f": {flip['reason']}" if flip["reason"] else ""
    return f"  {flip['direction']}: {flip['id']} by {flip['scorer']}{why}"


def _run_line(run: dict[str, Any]) -> str:
    cost = "cost unknown" if run["costUsd"] is None else f"{run['costUsd']:.4g} USD"
    return (
        f"  {run['cases']} of {run['available']} cases, {run['trials']} runs ({run['reused']} found again) "
        f"in {run['seconds']:.1f} s, {cost}"
    )


def _take_sample(registry: Registry, agent: str, sample: int) -> None:
    suite = registry.evals.get(agent)
    if suite is None:  # the gate says so, and why: there is none, or it has faults
        return
    spec = suite.spec.model_copy(update={"sample": sample})
    registry.evals[agent] = suite.model_copy(update={"spec": spec})
