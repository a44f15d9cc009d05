"""`agentctl freeze` and `thaw`: stop new runs, and let them in again."""

import click

from penstock.cli.output import json_option
from penstock.cli.subject import reason_option, workspace_here
from penstock.cli.urgent import show_urgent
from penstock.release.stops import change_status


@click.command()
@click.argument("agent", required=False)
@reason_option("frozen by hand")
@json_option
def freeze(agent: str | None, reason: str, as_json: bool) -> int:
    """Stops new runs of AGENT, or of every agent, at once; runs in flight go on."""
    workspace = workspace_here()
    done = change_status(workspace, "freeze", agent, reason)
    return show_urgent(workspace, done, as_json=as_json)


@click.command()
@click.argument("agent", required=False)
@reason_option("thawed by hand")
@json_option
def thaw(agent: str | None, reason: str, as_json: bool) -> int:
    """Lets new runs of AGENT, or of every agent that is frozen or disabled, in again."""
    workspace = workspace_here()
    done = change_status(workspace, "thaw", agent, reason)
    return show_urgent(workspace, done, as_json=as_json)
