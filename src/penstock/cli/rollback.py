"""`agentctl rollback`, and what lifts the quarantine that it leaves."""

import click

from penstock.cli.output import json_option
from penstock.cli.subject import reason_option, workspace_here
from penstock.cli.urgent import show_urgent
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
    workspace = workspace_here()
    done = roll_back(workspace, agent, reason, stage=stage, to=to, keep=keep)
    return show_urgent(workspace, done, as_json=as_json)


@click.command()
@click.argument("digest")
@reason_option()
@json_option
def unquarantine(digest: str, reason: str, as_json: bool) -> int:
    """Lifts the quarantine of a release: it may be promoted again."""
    workspace = workspace_here()
    done = lift_quarantine(workspace, digest, reason)
    return show_urgent(workspace, done, as_json=as_json)
