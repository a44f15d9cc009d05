"""`agentctl queue`: how many runs wait and for how long, and what nobody could finish."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.errors import WrongUse

MANY = 100_000


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def queue(ctx: click.Context, as_json: bool) -> int | None:
    """Shows how many runs wait, run, or are dead letters, and how old the oldest of them is."""
    if ctx.invoked_subcommand is not None:
        return None
    from penstock.executor.stored import open_stored
    from penstock.store.queue import RunQueue

    with open_stored(project_settings()) as database:
        depths = RunQueue(database).depths()
    rows = [{"kind": one.kind, "state": one.state, "runs": one.runs, "oldestS": one.oldest_s} for one in depths]
    lines = [f"{one.kind:6} {one.state:9} {one.runs:7}  oldest {one.oldest_s:.0f} s" for one in depths]
    show({"queue": rows}, "\n".join(lines) or "nothing waits", as_json=as_json)
    return 0


@queue.command()
@click.option("--agent", metavar="NAME", help="Those of this agent.")
@click.option("--limit", type=click.IntRange(1, MANY), default=50, show_default=True, help="The newest so many.")
@json_option
def dead(agent: str | None, limit: int, as_json: bool) -> int:
    """Lists dead letters: runs that failed for good, or that a person has to look at."""
    from penstock.executor.stored import open_stored
    from penstock.store.queue_dead import DeadLetters

    with open_stored(project_settings()) as database:
        rows = DeadLetters(database).rows(agent=agent, limit=limit)
    show({"dead": [_document(row) for row in rows]}, "\n".join(map(_line, rows)) or "no dead letters", as_json=as_json)
    return 0


@queue.command()
@click.argument("run_id", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--agent", metavar="NAME", help="With --all: those of this agent.")
@json_option
def replay(run_id: str | None, everything: bool, agent: str | None, as_json: bool) -> int:
    """Runs a dead letter again, as a new run.

    A run that stopped because nobody knows what became of a writing call goes on itself, and makes that call again.
    """
    again = _each(run_id, everything=everything, agent=agent, action="replay")
    text = "\n".join(f"{old}: runs again as {new}" for old, new in again.items())
    show({"replayed": again}, text or "no dead letters", as_json=as_json)
    return 0


@queue.command()
@click.argument("run_id", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--agent", metavar="NAME", help="With --all: those of this agent.")
@json_option
def purge(run_id: str | None, everything: bool, agent: str | None, as_json: bool) -> int:
    """Forgets a dead letter for good; what the run did stays with the runs."""
    gone = _each(run_id, everything=everything, agent=agent, action="purge")
    show({"purged": list(gone)}, "\n".join(f"{old}: forgotten" for old in gone) or "no dead letters", as_json=as_json)
    return 0


def _each(run_id: str | None, *, everything: bool, agent: str | None, action: str) -> dict[str, Any]:
    """Does it to one dead letter, or to all; what came of each."""
    if (run_id is None) is not everything:
        raise WrongUse(
            "give one ID, or --all", where=f"agentctl queue {action}", now="`agentctl queue dead` lists them"
        )
    from penstock.executor.stored import open_stored
    from penstock.store.queue_dead import DeadLetters

    with open_stored(project_settings()) as database:
        letters = DeadLetters(database)
        ids = [run_id] if run_id is not None else [row.run_id for row in letters.rows(agent=agent, limit=MANY)]
        do = letters.replay if action == "replay" else letters.purge
        return {one: do(one) for one in ids}


def _document(row: Any) -> dict[str, Any]:
    return {
        "runId": row.run_id,
        "agent": row.agent,
        "tenant": row.tenant,
        "kind": row.kind,
        "batch": row.batch,
        "line": row.line,
        "status": row.status,
        "attempts": row.attempt,
        "failures": row.failures,
        "acceptedAt": row.created_at,
        "endedAt": row.ended_at,
        "error": row.error,
    }


def _line(row: Any) -> str:
    error = row.error or {}
    where = f" ({row.batch}, line {row.line})" if row.batch else ""
    why = f"{error.get('code')}: {error.get('what')}"
    return f"{row.run_id}  {(row.ended_at or '')[:19]}Z  {row.status:9}  {row.agent}{where}  {why}"
