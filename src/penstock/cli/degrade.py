"""`agentctl degrade`: runs of an agent ask a cheaper model first, until it is taken back."""

import click

from penstock.cli.output import json_option, say
from penstock.cli.subject import reason_option, workspace_here
from penstock.cli.urgent import show_urgent
from penstock.errors import WrongUse


@click.command()
@click.argument("agent")
@click.option("--to", "model", metavar="MODEL", help="models/NAME@VERSION of its release; default: its last spare.")
@click.option("--off", is_flag=True, help="Runs ask their own model first again.")
@reason_option()
@json_option
def degrade(agent: str, model: str | None, off: bool, reason: str, as_json: bool) -> int:
    """Has new runs of AGENT ask a spare model of their release first, in every executor at once.

    It is for prod, canary and what they replaced; versions in dev are as they are, and runs in flight go on.
    """
    from penstock.release.degrade import degrade as degrade_agent
    from penstock.release.degrade import undegrade, untouched

    if off and model is not None:
        raise WrongUse("--to and --off exclude each other", now="one of the two")
    workspace = workspace_here()
    done = undegrade(workspace, agent, reason) if off else degrade_agent(workspace, agent, model, reason)
    for place in untouched(workspace, done.table.agents[agent]):
        say(f"{place} has no such model: its runs ask their own")
    return show_urgent(workspace, done, as_json=as_json)
