"""`agentctl canary`: where canaries are, and what takes them on, a step at a time."""

import time
from collections.abc import Mapping
from typing import Any

import click

from penstock.cli.notify import tell_changes
from penstock.cli.output import json_option, say, show
from penstock.cli.subject import reason_option, workspace_here
from penstock.errors import Unavailable, WrongUse
from penstock.release.canary import Ticked, advance_by_hand
from penstock.release.canary import tick as tick_canaries
from penstock.release.reconcile import reconcile
from penstock.release.workspace import Workspace

EXITS = {"errored": 3, "aborted": 1, "held": 1}


@click.group()
def canary() -> None:
    """Canaries: `show` says where they are, `tick` does what is due, `advance` is a release manager's own step."""


@canary.command()
@click.argument("agents", metavar="[AGENT]...", nargs=-1)
@json_option
def show_(agents: tuple[str, ...], as_json: bool) -> int:
    """Shows each canary's step, its sessions, the live analysis, and what a tick would do. Changes nothing."""
    workspace = workspace_here()
    try:
        workspace.fetch()
    except Unavailable as error:
        say(f"shown on the base branch as last fetched: {error.what}")
    return _show(tick_canaries(workspace, list(agents) or None, dry=True), as_json=as_json)


canary.add_command(show_, "show")


@canary.command()
@click.argument("agents", metavar="[AGENT]...", nargs=-1)
@click.option("--watch", "every_s", type=click.FloatRange(min=1), metavar="SECONDS", help="Tick again and again.")
@json_option
def tick(agents: tuple[str, ...], every_s: float | None, as_json: bool) -> int:
    """Takes each canary whose step is done a step on, rolls back what is worse than prod, holds what lacks sessions.

    It begins with `reconcile`. Several may run at once, and any of them may be killed: the next one goes on. Under
    driver = dagster the sensor does it. Exit status 1: one was rolled back or held; 3: one could not be judged.
    """
    if every_s is not None and as_json:
        raise WrongUse("--watch goes on, --json is one document", now="give one of them")
    workspace = workspace_here()
    if workspace.settings.driver != "ci":
        raise WrongUse("driver = dagster moves canaries", now="see its sensor `canaries`; `agentctl canary show` reads")
    while True:
        status = _tick(workspace, list(agents) or None, as_json=as_json)
        if every_s is None:
            return status
        time.sleep(every_s)


@canary.command()
@click.argument("agent")
@reason_option()
@json_option
def advance(agent: str, reason: str, as_json: bool) -> int:
    """Takes AGENT's canary a step on though its step still waits: a release manager's override, on record."""
    workspace = workspace_here()
    status = _show([advance_by_hand(workspace, agent, reason)], as_json=as_json)
    tell_changes(workspace)
    return status


def _tick(workspace: Workspace, agents: list[str] | None, *, as_json: bool) -> int:
    reconcile(workspace, moves=False)
    status = _show(tick_canaries(workspace, agents), as_json=as_json)
    tell_changes(workspace)
    return status


def _show(ticked: list[Ticked], *, as_json: bool) -> int:
    lines = []
    for one in ticked:
        lines.append(f"{one.agent}@{one.version}: {one.did}: {one.why}")
        if one.rollout is not None:
            lines += [f"  {sentence}" for sentence in one.rollout.sentences]
            lines += [f"    {_metric(found)}" for found in one.rollout.analysis.as_document().get("metrics", ())]
    document = {"canaries": [one.as_document() for one in ticked]}
    show(document, "\n".join(lines) or "no canary shares with prod", as_json=as_json)
    return max((EXITS.get(one.did, 0) for one in ticked), default=0)


def _metric(found: Mapping[str, Any]) -> str:
    """One metric in a line: the mean loss of both sides, and how strong the evidence is that the canary's is larger."""
    sides = [_side(name, found[name]) for name in ("canary", "prod")]
    watched = " (dry run)" if found["dryRun"] else ""
    evidence = f"e = {found['eValue']:.3g} of {found['threshold']:.3g}"
    return f"{found['metric']}{watched}: {found['outcome']}: {', '.join(sides)}, {evidence}"


def _side(name: str, side: Mapping[str, Any]) -> str:
    loss = f"{side['mean']:.2%} lost" if side["mean"] is not None else "nothing yet"
    return f"{name} {loss} in {side['sessions']} sessions"
