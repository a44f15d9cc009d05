"""`agentctl hold` and `unhold`: an agent, or the line of the whole project, stands still until it is let go on."""

import click

from penstock.cli.output import json_option, show
from penstock.cli.subject import reason_option, workspace_here
from penstock.cli.urgent import show_urgent
from penstock.errors import WrongUse
from penstock.release.line import Line, start_line, stop_line
from penstock.release.stops import hold as hold_agent
from penstock.release.stops import unhold as lift_hold

WHOLE = "The whole project: nothing is promoted and no canary grows."


@click.command()
@click.argument("agent", required=False)
@click.option("--all", "whole", is_flag=True, help=WHOLE)
@reason_option()
@json_option
def hold(agent: str | None, whole: bool, reason: str, as_json: bool) -> int:
    """Holds an agent, or with --all the whole line: no promotion and nothing automatic until `unhold`.

    What answers goes on answering, and a rollback is always possible. It needs the release store alone.
    """
    _require_one(agent, whole=whole)
    if agent is None:
        return _show_line(stop_line(workspace_here(), reason), as_json=as_json)
    workspace = workspace_here()
    done = hold_agent(workspace, agent, reason)
    return show_urgent(workspace, done, as_json=as_json)


@click.command()
@click.argument("agent", required=False)
@click.option("--all", "whole", is_flag=True, help="The line of the whole project; a release manager's.")
@reason_option("the hold is over")
@json_option
def unhold(agent: str | None, whole: bool, reason: str, as_json: bool) -> int:
    """Lifts an agent's hold, or starts the line again: promotions and automatic moves go on."""
    _require_one(agent, whole=whole)
    if agent is None:
        return _show_line(start_line(workspace_here(), reason), as_json=as_json)
    workspace = workspace_here()
    done = lift_hold(workspace, agent, reason)
    return show_urgent(workspace, done, as_json=as_json)


def _require_one(agent: str | None, *, whole: bool) -> None:
    if (agent is None) != whole:
        raise WrongUse("name an agent, or --all for the whole project", now="one of the two")


def _show_line(line: Line, *, as_json: bool) -> int:
    lines = [f"the line is {line.done}", *(f"  stopped by {one.who} at {one.at}: {one.reason}" for one in line.stops)]
    show(line.as_document(), "\n".join(lines), as_json=as_json)
    return 0
