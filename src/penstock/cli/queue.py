"""`agentctl queue`: how many runs wait and for how long, and what nobody could finish."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.context import me, project_settings, released
from penstock.cli.given_json import read_json
from penstock.cli.output import json_option, show
from penstock.errors import Conflict, NotFound, PenstockError, WrongUse

if TYPE_CHECKING:
    from penstock.store.queue import QueuedRun
    from penstock.store.queue_dead import DeadLetters

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
@click.option("--all", "everything", is_flag=True, help="All dead letters but those with a call of unknown outcome.")
@click.option("--agent", metavar="NAME", help="With --all: those of this agent.")
@click.option("--user", metavar="ID", help="Who says that a call of unknown outcome is made again; kept on record.")
@json_option
def replay(run_id: str | None, everything: bool, agent: str | None, user: str | None, as_json: bool) -> int:
    """Runs a dead letter again, as a new run.

    A run that stopped because nobody knows what became of a writing call goes on itself, and makes that call again.
    """
    with _chosen(run_id, everything=everything, agent=agent, action="replay") as (letters, rows):
        if not everything:
            replays = _Replays({row.run_id: letters.replay(row.run_id, user) for row in rows})
        else:
            replays = _all_replayed(letters, rows)
    show(replays.document(), replays.text(), as_json=as_json)
    return 1 if replays.failed else 0


@queue.command()
@click.argument("run_id", metavar="ID")
@click.option("--result", required=True, metavar="JSON", help="What the call gave: JSON, a file of it, or - for stdin.")
@click.option("--comment", required=True, metavar="TEXT", help="How you know; kept on record.")
@click.option("--call", "call_id", metavar="ID", help="Which call, where several of the run wait.")
@click.option("--user", metavar="ID", help="Who says so; default: `git config user.email`.")
@json_option
def settle(run_id: str, result: str, comment: str, call_id: str | None, user: str | None, as_json: bool) -> int:
    """Says what came of a writing call that nobody knew the outcome of; the run goes on with that, and does not call.

    Where it turns out that the call was not made, `agentctl queue replay ID` makes it.
    """
    from penstock.executor.stored import open_stored
    from penstock.executor.unknown_outcomes import settle as settled
    from penstock.store.unknown_outcomes import Finding

    settings = project_settings()
    by = user if user is not None else me()
    finding = Finding("made", by, comment, read_json(result, "--result", 'such as {"orderId": 5}'))
    with open_stored(settings) as database:
        call = settled(database, released(settings), run_id, call_id, finding)
    document = {"runId": run_id, "callId": call.call_id, "tool": call.tool, "by": by}
    show(document, f"{run_id}: goes on with this result of {call.tool}, by {by}", as_json=as_json)
    return 0


@queue.command()
@click.argument("run_id", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("--agent", metavar="NAME", help="With --all: those of this agent.")
@json_option
def purge(run_id: str | None, everything: bool, agent: str | None, as_json: bool) -> int:
    """Forgets a dead letter for good; what the run did stays with the runs."""
    with _chosen(run_id, everything=everything, agent=agent, action="purge") as (letters, rows):
        gone = [row.run_id for row in rows]
        for one in gone:
            letters.purge(one)
    show({"purged": gone}, "\n".join(f"{old}: forgotten" for old in gone) or "no dead letters", as_json=as_json)
    return 0


@dataclass
class _Replays:
    """What became of dead letters: the ids of the runs that they run as, those left alone, and why others do not."""

    again: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    failed: dict[str, PenstockError] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        failed = {one: error.as_dict() for one, error in self.failed.items()}
        return {"replayed": self.again, "left": self.left, "failed": failed}

    def text(self) -> str:
        lines = [f"{old}: goes on" if old == new else f"{old}: runs again as {new}" for old, new in self.again.items()]
        lines += [
            f"{one}: left alone, a call of it may have been made; replay it by ID or settle it" for one in self.left
        ]
        lines += [f"{one}: stays, {error.what}; {error.now}" for one, error in self.failed.items()]
        return "\n".join(lines) or "no dead letters"


def _all_replayed(letters: "DeadLetters", rows: list["QueuedRun"]) -> _Replays:
    """One that cannot be replayed keeps no other from it."""
    from penstock.store.payload_objects import PayloadLost
    from penstock.store.unknown_outcomes import is_unknown

    replays = _Replays()
    for row in rows:
        if is_unknown(row):
            replays.left.append(row.run_id)
            continue
        try:
            replays.again[row.run_id] = letters.replay(row.run_id)
        except (NotFound, Conflict, PayloadLost) as error:
            replays.failed[row.run_id] = error
    return replays


@contextlib.contextmanager
def _chosen(
    run_id: str | None, *, everything: bool, agent: str | None, action: str
) -> Iterator[tuple["DeadLetters", list["QueuedRun"]]]:
    """The dead letters, and those of them that are meant: one, or all."""
    if (run_id is None) is not everything:
        raise WrongUse(
            "give one ID, or --all", where=f"agentctl queue {action}", now="`agentctl queue dead` lists them"
        )
    from penstock.executor.stored import open_stored
    from penstock.store.queue_dead import DeadLetters

    with open_stored(project_settings()) as database:
        letters = DeadLetters(database)
        yield letters, [letters.get(run_id)] if run_id is not None else letters.rows(agent=agent, limit=MANY)


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
    now = f"\n  {error.get('now')}" if row.outcome is None else ""
    return f"{row.run_id}  {(row.ended_at or '')[:19]}Z  {row.status:9}  {row.agent}{where}  {why}{now}"
