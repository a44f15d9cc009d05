"""`agentctl diff` and `agentctl shadow`: what two versions, or one on two runtimes, do otherwise."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

import click

from penstock.cli.context import project_settings
from penstock.cli.difference_text import difference_lines, difference_markdown
from penstock.cli.gate import gate_use
from penstock.cli.output import json_option, show
from penstock.cli.verdict import EXITS, Terminal, parse_version
from penstock.cli.watching import watching
from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.errors import NotFound, WrongUse
from penstock.gates.context import GateContext
from penstock.gates.draft import draft_context
from penstock.gates.gate import run_gate
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource

F = TypeVar("F", bound=Callable[..., Any])


def comparison_options(command: F) -> F:
    """Adds what both commands take: AGENT@V --against V --runtime R --sample N --json --markdown."""
    options = (
        click.argument("version", metavar="AGENT@V"),
        click.option("--against", metavar="V", help="Compare with this version; default: what prod has."),
        click.option("--runtime", metavar="R", help="Run AGENT@V on this one; alone: beside itself on its own."),
        click.option("--sample", type=click.IntRange(1), metavar="N", help="At most so many inputs."),
        click.option("--markdown", "as_markdown", is_flag=True, help="Markdown, for a merge request."),
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@comparison_options
def diff(
    version: str, against: str | None, runtime: str | None, sample: int | None, as_markdown: bool, as_json: bool
) -> int:
    """Runs the eval suite's cases through two versions and shows what they do otherwise.

    Outputs by JSON path, event sequences, cost, success and latency. What `agentctl eval` ran within 24 hours is not
    run again. The result is a draft: shown, never counted. Exit status: 0 passed, 1 failed or inconclusive, 3 errored.
    """
    context = _context(version, against, runtime)
    use = _use(context, "diff", {"sample": sample, "runtime": runtime})
    return _shown(context, _run(context, use, quiet=as_json), as_json=as_json, as_markdown=as_markdown)


@click.command()
@comparison_options
@click.option(
    "--since", "hours", type=click.FloatRange(0, min_open=True), metavar="HOURS", help="How far back to look."
)
@click.option("--budget", type=click.FloatRange(0, min_open=True), metavar="USD", help="What it may cost at most.")
def shadow(
    version: str,
    against: str | None,
    runtime: str | None,
    sample: int | None,
    hours: float | None,
    budget: float | None,
    as_markdown: bool,
    as_json: bool,
) -> int:
    """Runs what users sent to production through a version, beside production's, without side effects.

    Recorded runs are those of the project's database; the eval suite's cases fill up. No tool that writes is called,
    and nobody gets the answers. The result is a draft: shown, never counted. Exit status as of `agentctl diff`.
    """
    from penstock.gates.shadow import MIN_RUNS
    from penstock.store.depots import open_project_database
    from penstock.store.runs import RunStore

    context = _context(version, against, runtime)
    asked: dict[str, Any] = {"sample": sample, "runtime": runtime, "sinceHours": hours, "budgetUsd": budget}
    if sample is not None:  # who asks for fewer runs than a verdict takes wants to see them
        least = gate_use(context.registry, "shadow").params.get("minRuns", MIN_RUNS)
        asked["minRuns"] = min(sample, least)
    use = _use(context, "shadow", asked)
    with closing(open_project_database(context.settings)) as database:
        result = _run(replace(context, runs=RunStore(database)), use, quiet=as_json)
    return _shown(context, result, as_json=as_json, as_markdown=as_markdown)


def _context(version: str, against: str | None, runtime: str | None) -> GateContext:
    """The version of the working tree beside what it is compared with; with a runtime alone, beside itself."""
    settings = project_settings()
    registry = load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)
    agent, number = parse_version(version)
    context = draft_context(settings, registry, agent, number, progress=Terminal(version))
    if runtime is not None and runtime not in registry.runtimes:
        known = ", ".join(sorted(registry.runtimes)) or "none"
        raise NotFound(f"no runtime {runtime!r} is declared", where="runtimes/", now=f"declared: {known}")
    if against is None and runtime is not None:
        against = number
    if against is not None:
        context = replace(context, baseline=resolve(registry, agent, against, allow_retired=True).release)
    if context.baseline is None:
        raise WrongUse("prod has no version to compare with", where=version, now="name one: --against V")
    return context


def _use(context: GateContext, gate: str, given: dict[str, Any]) -> GateUse:
    """The gate as the pipeline uses it, with what the command line says instead."""
    declared = gate_use(context.registry, gate)
    params = {**declared.params, **{name: value for name, value in given.items() if value is not None}}
    return declared.model_copy(update={"params": params})


def _run(context: GateContext, use: GateUse, *, quiet: bool) -> GateResult:
    with watching(quiet=quiet) as watch:
        return run_gate(replace(context, watch=watch), use)


def _shown(context: GateContext, result: GateResult, *, as_json: bool, as_markdown: bool) -> int:
    assert context.baseline is not None  # `_context` says no without one
    title = f"{context.agent}@{context.version} {result.gate} against {context.baseline.version}"
    text = difference_markdown(title, result.outcome, result.reason, result.artifacts)
    if not as_markdown:
        text = "\n".join([f"{title}: {result.outcome}", f"  {result.reason}", *difference_lines(result.artifacts)])
    show(result.as_document(), text, as_json=as_json)
    return EXITS.get(result.outcome, 0)
