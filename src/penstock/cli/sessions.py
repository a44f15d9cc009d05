"""`agentctl sessions`: what was said in a session, and the runs in which it was."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.cli.runs import run_line


@click.command()
@click.argument("session", metavar="SESSION")
@click.option("--tenant", metavar="ID", help="Whose session it is; default: of callers without a tenant.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, help="The newest runs.")
@json_option
def sessions(session: str, tenant: str | None, limit: int, as_json: bool) -> int:
    """Shows a session: its release and history with each agent, and its runs, newest first."""
    from penstock.executor.session_reader import session_document
    from penstock.executor.stored import open_stored
    from penstock.store.runs import RunStore

    with open_stored(project_settings()) as database:
        document = session_document(database, session, tenant)
        document["runs"] = RunStore(database).runs(session=session, tenant=tenant or "", limit=limit)
    show(document, _text(document), as_json=as_json)
    return 0


def _text(document: dict[str, Any]) -> str:
    lines: list[str] = []
    for one in document["agents"]:
        lines.append(f"{one['agent']}@{one['version']} ({one['stage']}) since {one['pinnedAt'][:19]}Z")
        lines += [f"  {message['role']:9}  {message['content']}" for message in one["history"]]
    return "\n".join([*lines, *(run_line(run) for run in document["runs"])])
