"""`agentctl doctor`: is this machine ready, and are the settings right? Nothing is changed."""

import click

from penstock.cli.health import Finding, Status, examine
from penstock.cli.output import json_option, show

MARKS: dict[Status, str] = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Checks machine and settings; each line says what is, and what to do now where something is wrong.

    Exit status: 0 nothing fails (warnings may stand), 1 the project is at fault, 3 the environment is.
    """
    project = click.get_current_context().find_root().obj
    findings = examine(project)
    failed = [finding for finding in findings if finding.status == "fail"]
    document = {
        "ok": not failed,
        "findings": [{"check": one.check, "status": one.status, "what": one.what, "now": one.now} for one in findings],
    }
    show(document, "\n".join(map(_line, findings)), as_json=as_json)
    return 0 if not failed else max(finding.exit_code for finding in failed)


def _line(finding: Finding) -> str:
    now = f"\n{' ' * 24}-> {finding.now}" if finding.now else ""
    return f"{MARKS[finding.status]}  {finding.check:<16}  {finding.what}{now}"
