"""`agentctl freeze` and `thaw`: stop new runs, and let them in again."""

import click

from penstock.cli.output import json_option, show
from penstock.cli.subject import reason_option, urgent_document, urgent_text, workspace_here
from penstock.release.stops import change_status


@click.command()
@click.argument("agent", required=False)
@reason_option("frozen by hand")
@json_option
def freeze(agent: str | None, reason: str, as_json: bool) -> int:
    """Stops new runs of AGENT, or of every agent, at once; runs in flight go on."""
    done = change_status(workspace_here(), "freeze", agent, reason)
    show(urgent_document(done), urgent_text(done), as_json=as_json)
    return 0


@click.command()
@click.argument("agent", required=False)
@reason_option("thawed by hand")
@json_option
def thaw(agent: str | None, reason: str, as_json: bool) -> int:
    """Lets new runs of AGENT, or of every agent that is frozen or disabled, in again."""
    done = change_status(workspace_here(), "thaw", agent, reason)
    show(urgent_document(done), urgent_text(done), as_json=as_json)
    return 0
