"""`agentctl rollback`, and what lifts the quarantine that it leaves."""

import click

from penstock.cli.output import json_option, show
from penstock.cli.subject import reason_option, urgent_document, urgent_text, workspace_here
from penstock.release.rollback import roll_back
from penstock.release.stops import unquarantine as lift_quarantine


@click.command()
@click.argument("agent")
@click.option("--stage", type=click.Choice(["canary", "prod"]), help="Which one; needed when both stand.")
@click.option("--to", metavar="V", help="What prod goes back to instead of the previous version.")
@click.option("--keep", is_flag=True, help="No quarantine: the fault is not the release's.")
@reason_option()
@json_option
def rollback(agent: str, stage: str | None, to: str | None, keep: bool, reason: str, as_json: bool) -> int:
    """Takes an agent's canary or prod back at once, with a hold and, unless --keep, a quarantine.

    It needs only the release store: it works while Git, the database or Dagster is down, and the commit follows.
    """
    done = roll_back(workspace_here(), agent, reason, stage=stage, to=to, keep=keep)
    show(urgent_document(done), urgent_text(done), as_json=as_json)
    return 0


@click.command()
@click.argument("digest")
@reason_option()
@json_option
def unquarantine(digest: str, reason: str, as_json: bool) -> int:
    """Lifts the quarantine of a release: it may be promoted again."""
    done = lift_quarantine(workspace_here(), digest, reason)
    show(urgent_document(done), urgent_text(done), as_json=as_json)
    return 0
