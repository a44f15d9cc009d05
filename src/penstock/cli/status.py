"""`agentctl status`: who stands where, and which conditions of the next stage are unmet."""

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import workspace_here
from penstock.errors import Unavailable
from penstock.release.fleet import Fleet, read_fleet
from penstock.release.plan import traffic
from penstock.release.status import AgentStatus, agent_statuses


@click.command()
@click.argument("agent", required=False)
@json_option
def status(agent: str | None, as_json: bool) -> int:
    """Shows who stands where by the table in force, what waits, is held or drifts, and what the next stage asks for."""
    workspace = workspace_here()
    try:
        workspace.fetch()
    except Unavailable as error:
        say(f"the base branch is shown as last fetched: {error.what}")
    found = agent_statuses(workspace, agent, steps=True)
    table = workspace.releases.newest_table()
    generation = table.generation if table is not None else 0
    fleet = read_fleet(workspace)
    document = {
        "generation": generation,
        "agents": [one.as_document() for one in found],
        "executors": fleet.as_document(),
        "drift": fleet.drift,
        "notes": fleet.notes,
    }
    head = "\n".join([f"routing table {generation or 'none yet'}", *_executors(fleet)])
    text = "\n\n".join([head, *map(_text, found)])
    show(document, text, as_json=as_json)
    return 0


def _executors(fleet: Fleet) -> list[str]:
    listed = [f"  {one}" for one in fleet.executors]
    return [*listed, *(f"  drift: {one}" for one in fleet.drift), *(f"  note: {one}" for one in fleet.notes)]


def _text(one: AgentStatus) -> str:
    stages = one.stages
    shares = "; ".join(f"{place} {share}" for place, share in traffic(stages).items())
    lines = [one.agent, f"  {shares or 'nothing answers'}"]
    if stages.previous is not None:
        lines.append(f"  previous {stages.previous.version}")
    lines += [f"  draining {drain.version} until {drain.until}" for drain in stages.draining]
    lines += [f"  deprecated {', '.join(stages.deprecated)}"] if stages.deprecated else []
    lines += [f"  disabled {', '.join(stages.disabled)}"] if stages.disabled else []
    lines += [f"  quarantined {digest}" for digest in stages.quarantined]
    if stages.hold is not None:
        lines.append(f"  held by {stages.hold.by} since {stages.hold.since}: {stages.hold.reason}")
    if stages.degraded is not None:
        said = stages.degraded
        lines.append(f"  degraded to {said.model} by {said.by} since {said.since}: {said.reason}")
    lines += [f"  not committed yet: {text}" for text in one.uncommitted]
    lines += [f"  drift: {text}" for text in one.drift]
    for step in one.steps:
        lines.append(f"  {step.version} to {step.stage}:{'' if step.unmet else ' nothing stands in the way'}")
        lines += [f"    - {sentence}" for sentence in step.unmet]
    return "\n".join(lines)
