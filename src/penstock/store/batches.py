"""Batches: many runs of one agent that were accepted together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import and_, func, select, update

from penstock.store import tables
from penstock.store.database import Database
from penstock.store.idempotency import IdempotencyKey, take_key
from penstock.store.payloads import PayloadRows
from penstock.store.queue import NewRun, QueuedRun, RunQueue, Terms, queued_run, status_of
from penstock.store.shared_clock import shared_now
from penstock.store.tables_queue import batches, queued_runs

PAGE = 500
_ROWS = queued_runs.c


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and how its lines stand: `counts` by status, replayed lines by their newest run."""

    batch: str
    tenant: str | None
    agent: str
    lines: int
    cancelled: bool
    created_at: str
    counts: dict[str, int]

    @property
    def is_done(self) -> bool:
        """Whether no line waits or runs any more."""
        return not self.counts.get("queued") and not self.counts.get("running")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line of a batch: its row, the summary of its run and its output, None as long as it has none."""

    row: QueuedRun
    run: dict[str, Any] | None
    output: Any


class BatchStore:
    """Takes batches in and says how they stand. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, batch: str, runs: Sequence[NewRun], terms: Terms, key: IdempotencyKey | None = None) -> str:
        """Stores all runs or none; returns the batch, or the one that the key brought before.

        Raises `Invalid` when the key stands for another request.
        """
        tenant = terms.tenant or ""
        row = {"batch": batch, "tenant": tenant, "agent": terms.agent, "lines": len(runs)}
        with self._database.write() as connection:
            if key is not None:
                known = take_key(self._database, connection, (tenant, terms.agent), key, batch)
                if known != batch:
                    return known
            at = shared_now(connection)
            connection.execute(batches.insert(), {**row, "cancelled": False, "created_at": at})
            RunQueue(self._database).put(connection, runs, terms)
        return batch

    def get(self, batch: str) -> Batch | None:
        """The batch as it stands."""
        columns = (_ROWS.state, _ROWS.outcome, _ROWS.cancelled)
        count = select(*columns, func.count()).where(_ROWS.batch == batch, _ROWS.state != "replayed")
        with self._database.read() as connection:
            row = connection.execute(select(batches).where(batches.c.batch == batch)).first()
            if row is None:
                return None
            groups = connection.execute(count.group_by(*columns)).all()
        counts: dict[str, int] = {}
        for state, outcome, cancelled, runs in groups:
            status = status_of(state, outcome, cancelled=bool(cancelled))
            counts[status] = counts.get(status, 0) + runs
        return Batch(row.batch, row.tenant or None, row.agent, row.lines, bool(row.cancelled), row.created_at, counts)

    def lines(self, batch: str) -> Iterator[BatchLine]:
        """The lines in their order, read page by page."""
        after = 0
        while page := self._page(batch, after):
            yield from page
            after = page[-1].row.line or 0

    def cancel(self, batch: str) -> int:
        """Asks for the end of all lines that have none; returns how many those are."""
        open_lines = and_(_ROWS.batch == batch, _ROWS.outcome.is_(None), _ROWS.state.not_in(("done", "replayed")))
        waiting = and_(open_lines, _ROWS.state != "leased")
        with self._database.write() as connection:
            connection.execute(update(batches).where(batches.c.batch == batch).values(cancelled=True))
            count = connection.execute(update(queued_runs).where(open_lines).values(cancelled=True)).rowcount
            connection.execute(update(queued_runs).where(waiting).values(state="accepted", due=None))
        return count

    def _page(self, batch: str, after: int) -> list[BatchLine]:
        output = and_(tables.payloads.c.run_id == _ROWS.run_id, tables.payloads.c.role == "output")
        query = (
            select(
                queued_runs, tables.runs.c.document.label("summary"), tables.payloads.c.body, tables.payloads.c.claim
            )
            .outerjoin(tables.runs, tables.runs.c.run_id == _ROWS.run_id)
            .outerjoin(tables.payloads, output)
            .where(_ROWS.batch == batch, _ROWS.state != "replayed", _ROWS.line > after)
            .order_by(_ROWS.line)
            .limit(PAGE)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [BatchLine(queued_run(row), _parsed(row["summary"]), self._output(row)) for row in rows]

    def _output(self, row: Any) -> Any:
        return PayloadRows(self._database).body(row["body"], row["claim"]) if row["body"] is not None else None


def _parsed(text: str | None) -> Any:
    return orjson.loads(text) if text is not None else None
