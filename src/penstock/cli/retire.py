"""`agentctl deprecate` and `disable`: the end of life of a version, of an agent, or of what agents pin."""

from typing import Literal

import click

from penstock.cli.output import json_option, say, show
from penstock.cli.subject import reason_option, workspace_here
from penstock.cli.urgent import show_urgent
from penstock.contracts.reference import Reference
from penstock.errors import WrongUse
from penstock.release.retire import live_pins
from penstock.release.retire import retire as retire_reference
from penstock.release.stops import change_status, retire_version

Kind = Literal["deprecate", "disable"]


@click.command()
@click.argument("reference", metavar="REF")
@reason_option("deprecated by hand")
@click.option("--yes", is_flag=True, help="Also when live agents pin it.")
@json_option
def deprecate(reference: str, reason: str, yes: bool, as_json: bool) -> int:
    """Deprecates a version: it still replays and resolves, with a warning. REF is AGENT@V or tools/NAME@V, ..."""
    return _retire("deprecate", reference, reason, yes=yes, as_json=as_json)


@click.command()
@click.argument("reference", metavar="REF")
@reason_option("disabled by hand")
@click.option("--yes", is_flag=True, help="Also when live agents pin it.")
@json_option
def disable(reference: str, reason: str, yes: bool, as_json: bool) -> int:
    """Disables a version, which then takes no new run or release, or a whole agent (REF without a version)."""
    return _retire("disable", reference, reason, yes=yes, as_json=as_json)


def _retire(kind: Kind, text: str, reason: str, *, yes: bool, as_json: bool) -> int:
    workspace = workspace_here()
    if "@" not in text and kind == "disable":
        done = change_status(workspace, kind, text.removeprefix("agents/"), reason)
    elif "@" not in text:
        raise WrongUse(f"{text!r} names no version", now="write AGENT@V or <folder>/<name>@<version>")
    else:
        reference = Reference.parse(text, "agents")
        if reference.folder != "agents":
            return _retire_part(kind, reference, reason, yes=yes, as_json=as_json)
        done = retire_version(workspace, kind, reference.name, reference.version, reason)
    return show_urgent(workspace, done, as_json=as_json)


def _retire_part(kind: Kind, reference: Reference, reason: str, *, yes: bool, as_json: bool) -> int:
    workspace = workspace_here()
    pins = live_pins(workspace, reference)
    for pin in pins:
        say(f"live: {pin} pins {reference}")
    commit = retire_reference(workspace, kind, reference, reason, confirmed=yes)
    document = {"kind": kind, "reference": str(reference), "commit": commit, "live": [str(pin) for pin in pins]}
    show(document, f"{reference} is {kind}d: commit {commit[:12]}", as_json=as_json)
    return 0
