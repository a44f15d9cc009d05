"""`agentctl notify`: tells the project's endpoint what is due, shows it, tries the endpoint, or leaves it out."""

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import workspace_here
from penstock.errors import WrongUse
from penstock.release.notify import FOREGROUND_S, due_notices, notify_changes, send_test, skip_due
from penstock.release.workspace import Workspace


@click.command()
@click.option("--dry", is_flag=True, help="Show what is due; send and write nothing.")
@click.option("--test", is_flag=True, help="Send one event of type dev.penstock.release.test, and nothing else.")
@click.option("--skip", is_flag=True, help="Leave out all that is due.")
@click.option(
    "--within", "within_s", type=click.FloatRange(0.5, 3_600), default=FOREGROUND_S, show_default=True, help="Seconds."
)
@json_option
def notify(dry: bool, test: bool, skip: bool, within_s: float, as_json: bool) -> int:
    """Tells the endpoint of notify_url what changed in the routing tables since it was last told.

    Promotions, rollbacks and reconcile do so by themselves; this tells what they could not.
    """
    if dry + test + skip > 1:
        raise WrongUse("--dry, --test and --skip do different things", now="give one of them")
    workspace = workspace_here()
    if not workspace.settings.notify_url:
        raise WrongUse("there is nobody to tell", where="notify_url", now="set it in [tool.penstock]")
    if dry:
        due = due_notices(workspace)
        lines = [f"due: {notice}" for notice in due]
        show({"due": [one.as_document() for one in due]}, "\n".join(lines) or "nothing is due", as_json=as_json)
    elif test:
        event = send_test(workspace, within_s=within_s)
        show({"sent": event}, f"sent: {event['type']} {event['id']}", as_json=as_json)
    elif skip:
        generation = skip_due(workspace)
        show({"generation": generation}, f"telling goes on after routing table {generation}", as_json=as_json)
    else:
        return _tell(workspace, within_s, as_json=as_json)
    return 0


def _tell(workspace: Workspace, within_s: float, *, as_json: bool) -> int:
    found = notify_changes(workspace, within_s=within_s)
    lines = [f"told: {notice}" for notice in found.told]
    if found.generation is not None:
        lines.append(f"all is told up to routing table {found.generation}")
    show(found.as_document(), "\n".join(lines), as_json=as_json)
    if found.error is None:
        return 0
    say(f"{found.problem}\n  {found.error.now}")
    return found.error.exit_code


def tell_changes(workspace: Workspace) -> None:
    """What a command that may have changed routing does last: tells the endpoint; a problem is a line on stderr."""
    found = notify_changes(workspace)
    if found.problem:
        say(f"{found.problem} (`agentctl notify` tells it)")
