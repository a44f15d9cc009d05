"""Dead letters: queued runs that nobody could finish. A person looks, and has them replayed or purged."""

from collections.abc import Mapping
from typing import Any

import uuid_utils
from sqlalchemy import Connection, delete, select, update

from penstock.errors import Conflict, NotFound
from penstock.store.database import Database
from penstock.store.payloads import PayloadRows
from penstock.store.queue import Kind, NewRun, QueuedRun, RunQueue, Terms, queued_run
from penstock.store.shared_clock import before, shared_now
from penstock.store.tables_queue import batches, queued_runs
from penstock.store.unknown_outcomes import is_unknown, repeat_calls

KEPT_S = 7 * 86_400.0
"""So long after its end the row of a run, and a batch, are kept; what a run did is kept with the runs."""
CHUNK = 500

_ROWS = queued_runs.c


class DeadLetters:
    """Reads dead letters, newest first, and clears them. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, *, agent: str | None = None, limit: int = 50) -> list[QueuedRun]:
        """The dead letters, those of one agent if it is named."""
        query = select(queued_runs).where(_ROWS.state == "dead")
        if agent is not None:
            query = query.where(_ROWS.agent == agent)
        with self._database.read() as connection:
            found = connection.execute(query.order_by(_ROWS.ended_at.desc()).limit(limit)).mappings()
            return [queued_run(row) for row in found]

    def get(self, run_id: str) -> QueuedRun:
        """One dead letter; raises `NotFound`."""
        with self._database.read() as connection:
            return _letter(connection, run_id)

    def replay(self, run_id: str, by: str | None = None) -> str:
        """Lets a dead letter run again, as `by` says; returns the id of the run that does. Raises `NotFound`.

        A run that has ended stays as it ended: a new one does the same again. A run whose writing call has an unknown
        outcome has not ended: it goes on from its journal, and makes that call again under its old idempotency key.
        """
        letter = self.get(run_id)
        again = None if is_unknown(letter) else self._again(letter)
        with self._database.write() as connection:
            row = _letter(connection, run_id, lock=True)
            if is_unknown(row):
                repeat_calls(connection, row, by)
                return run_id
            if again is None:
                raise Conflict("it ran again meanwhile", where=f"run {run_id}", now="`agentctl queue dead`")
            self._replace(connection, row, again)
        return again.run_id

    def purge(self, run_id: str) -> None:
        """Forgets a dead letter for good; what the run did stays with the runs. Raises `NotFound`.

        A run that had not ended is ended as cancelled by the next executor that takes it.
        """
        if not self._purge(run_id):
            raise NotFound("there is no such dead letter", where=f"run {run_id}", now="`agentctl queue dead`")

    def purge_ended(self, kept_s: float = KEPT_S) -> int:
        """Forgets the rows of runs that ended longer ago, dead letters apart, and batches without runs."""
        with self._database.write() as connection:
            oldest = before(shared_now(connection), kept_s)
            over = (_ROWS.state.in_(("done", "replayed"))) & (_ROWS.ended_at < oldest)
            count = connection.execute(delete(queued_runs).where(over)).rowcount
            used = select(_ROWS.batch).where(_ROWS.batch == batches.c.batch).exists()
            connection.execute(delete(batches).where(batches.c.created_at < oldest, ~used))
        return count

    def _purge(self, run_id: str) -> bool:
        dead = (_ROWS.run_id == run_id) & (_ROWS.state == "dead")
        with self._database.write() as connection:
            ended = connection.execute(delete(queued_runs).where(dead, _ROWS.outcome.is_not(None))).rowcount
            back = {"state": "accepted", "cancelled": True, "due": None}
            return bool(ended or connection.execute(update(queued_runs).where(dead).values(**back)).rowcount)

    def _again(self, row: QueuedRun) -> NewRun:
        """A new run of the same order and input; a large input is kept once more, as the new run's."""
        payloads, run_id = PayloadRows(self._database), str(uuid_utils.uuid7())
        found = payloads.of_run(row.run_id, ("input",))
        if not found:
            raise NotFound("the run's input was deleted", where=f"run {row.run_id}", now="`agentctl queue purge`")
        order: Mapping[str, Any] = {**row.order, "replayOf": row.run_id}
        return NewRun(run_id, found[0].body, order, row.line, payloads.keep_as(found[0], row.tenant, run_id))

    def _replace(self, connection: Connection, row: QueuedRun, again: NewRun) -> None:
        kind: Kind = "batch" if row.kind == "batch" else "async"
        tries = connection.scalar(select(_ROWS.tries).where(_ROWS.run_id == row.run_id)) or 1
        RunQueue(self._database).put(connection, [again], Terms(row.tenant, row.agent, kind, tries, row.batch))
        changes = {"state": "replayed", "ended_at": shared_now(connection)}
        connection.execute(update(queued_runs).where(_ROWS.run_id == row.run_id).values(**changes))


def _letter(connection: Connection, run_id: str, *, lock: bool = False) -> QueuedRun:
    query = select(queued_runs).where(_ROWS.run_id == run_id, _ROWS.state == "dead")
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise NotFound("there is no such dead letter", where=f"run {run_id}", now="`agentctl queue dead`")
    return queued_run(row)
