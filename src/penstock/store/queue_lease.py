"""Leases: an executor runs queued runs for as long as it says so, and any other goes on where it stopped.

Each lease of a run has its number, the attempt. Everything that is written of a run under a lease is one transaction
with the question whether that is still the newest one: who comes back late changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, and_, exists, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from penstock.errors import Conflict
from penstock.store import tables
from penstock.store.database import Database
from penstock.store.idempotency import free_key
from penstock.store.payload_objects import Claim
from penstock.store.queue import OUTCOME_UNKNOWN, PRIORITY, QueuedRun, queued_run
from penstock.store.reviews import ask, go_on
from penstock.store.runs import RunStore
from penstock.store.sessions import add_messages
from penstock.store.shared_clock import before, shared_now
from penstock.store.tables_queue import queued_runs

INTERACTIVE, BATCH = PRIORITY["async"], PRIORITY["batch"]
_ROWS = queued_runs.c


class LeaseLost(Conflict):
    """The run is another executor's by now, or over: nothing was written."""


@dataclass(frozen=True, slots=True)
class LeasedRun:
    """A run that was taken: its row, its input, and the route of its earlier attempts.

    `has_input` is false when somebody deleted its payloads; `claim` stands for an input that is in the payload store.
    `route` is None while no attempt left a trace.
    """

    row: QueuedRun
    input: Any
    has_input: bool
    route: dict[str, Any] | None
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """What became of the runs of a holder: `lost` are another's by now, `cancelled` are to be ended."""

    lost: frozenset[str]
    cancelled: frozenset[str]


@dataclass(frozen=True, slots=True)
class Held:
    """A lease: which attempt of which run; `has_caller` says that whoever sent it asks for its answer."""

    run_id: str
    attempt: int
    has_caller: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """When a run is tried again, in seconds; whether that counts as a failure, and why."""

    seconds: float
    counts: bool
    error: Mapping[str, Any]


class LeaseStore:
    """The leases of one holder, each for `lease_s` seconds at a time. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database, holder: str, lease_s: float) -> None:
        self._database = database
        self._runs = RunStore(database)
        self.holder = holder
        self.lease_s = lease_s

    def claim(self, room: int, batch_room: int) -> list[LeasedRun]:
        """Takes at most `room` runs: first those whose holder fell silent, then interactive ones, then batches'.

        At most `batch_room` of them are of batches. Whoever finds nothing has only read.
        """
        if room < 1 or not self._has_work():
            return []
        with self._database.write() as connection:
            at = shared_now(connection)
            due = and_(_ROWS.state == "delayed", _ROWS.due <= at)
            connection.execute(update(queued_runs).where(due).values(state="accepted", due=None))
            ids = self._choose(connection, at, room, batch_room)
            return self._take(connection, at, ids)

    def renew(self, attempts: Mapping[str, int]) -> Renewal:
        """Says that these runs, by id with their attempts, go on here."""
        if not attempts:
            return Renewal(frozenset(), frozenset())
        held = and_(_ROWS.holder == self.holder, _ROWS.state == "leased", _ROWS.run_id.in_(list(attempts)))
        with self._database.write() as connection:
            rows = connection.execute(select(_ROWS.run_id, _ROWS.attempt, _ROWS.cancelled).where(held)).all()
            own = {row.run_id for row in rows if attempts[row.run_id] == row.attempt}
            due = before(shared_now(connection), -self.lease_s)
            connection.execute(update(queued_runs).where(held, _ROWS.run_id.in_(list(own))).values(due=due))
        cancelled = frozenset(row.run_id for row in rows if row.cancelled and row.run_id in own)
        return Renewal(frozenset(attempts.keys() - own), cancelled)

    def write(self, run: Held, records: Iterable[dict[str, Any]], route: Mapping[str, Any] | None) -> None:
        """Writes what happened in a run, and renews its lease; raises `LeaseLost`, and then nothing is written."""
        with self._database.write() as connection:
            due = before(shared_now(connection), -self.lease_s)
            self._keep(connection, run, {"due": due, **_routed(route)})
            self._take_in(connection, records)

    def end(self, run: Held, records: Iterable[dict[str, Any]], outcome: str, error: Mapping[str, Any] | None) -> None:
        """Writes how the run ended, for good; raises `LeaseLost`, and then nothing is written.

        A failed run that nobody waits for is a dead letter. A rejected one frees its idempotency key.
        """
        with self._database.write() as connection:
            self._keep(connection, run, {**self._ended(connection, outcome, error), "state": _final(run, outcome)})
            if outcome == "rejected":
                free_key(connection, run.run_id)
            self._take_in(connection, records)

    def postpone(
        self, run: Held, records: Iterable[dict[str, Any]], delay: Delay, route: Mapping[str, Any] | None
    ) -> None:
        """Gives the run back, to be tried again later; raises `LeaseLost`, and then nothing is written."""
        with self._database.write() as connection:
            due = before(shared_now(connection), -delay.seconds)
            changes: dict[str, Any] = {"state": "delayed", "due": due, "holder": None, "error": _text(delay.error)}
            if delay.counts:
                changes["failures"] = _ROWS.failures + 1
            self._keep(connection, run, {**changes, **_routed(route)})
            self._take_in(connection, records)

    def stop(self, run: Held, records: Iterable[dict[str, Any]], error: Mapping[str, Any]) -> None:
        """Leaves the run to a person, without an end; raises `LeaseLost`, and then nothing is written.

        One whose writing call has an unknown outcome is among the dead letters, any other among the reviews.
        """
        with self._database.write() as connection:
            at = shared_now(connection)
            state = "dead" if error["code"] == OUTCOME_UNKNOWN else "review"
            self._keep(
                connection, run, {"state": state, "due": None, "holder": None, "ended_at": at, "error": _text(error)}
            )
            self._take_in(connection, records)
            go_on(connection, run.run_id)  # where all that it asks expired meanwhile, nobody else would

    def _has_work(self) -> bool:
        with self._database.read() as connection:
            at = shared_now(connection)
            waits = exists().where(_ROWS.state == "accepted")
            return bool(connection.scalar(select(or_(waits, _is_overdue(at, "leased"), _is_overdue(at, "delayed")))))

    def _choose(self, connection: Connection, at: str, room: int, batch_room: int) -> list[str]:
        """Ids in the order in which they are to be taken; rows that another is about to take are left to it."""
        left = select(_ROWS.run_id).where(_ROWS.state == "leased", _ROWS.due <= at).order_by(_ROWS.due).limit(room)
        ids = list(connection.scalars(left.with_for_update(skip_locked=True)))
        for priority in (INTERACTIVE, BATCH):
            limit = min(room - len(ids), room if priority == INTERACTIVE else batch_room)
            if limit > 0:
                waiting = (
                    select(_ROWS.run_id)
                    .where(_ROWS.state == "accepted", _ROWS.priority == priority)
                    .order_by(_ROWS.turn, _ROWS.run_id)
                    .limit(limit)
                )
                ids += connection.scalars(waiting.with_for_update(skip_locked=True))
        return ids

    def _take(self, connection: Connection, at: str, ids: list[str]) -> list[LeasedRun]:
        if not ids:
            return []
        chosen = _ROWS.run_id.in_(ids)
        changes = {"state": "leased", "holder": self.holder, "due": before(at, -self.lease_s)}
        connection.execute(update(queued_runs).where(chosen).values(attempt=_ROWS.attempt + 1, **changes))
        columns = tables.payloads.c
        given = and_(columns.run_id == _ROWS.run_id, columns.role == "input")
        query = select(queued_runs, columns.body, columns.claim).outerjoin(tables.payloads, given).where(chosen)
        found = {row["run_id"]: _leased(row) for row in connection.execute(query).mappings()}
        return [found[run_id] for run_id in ids]

    def _keep(self, connection: Connection, run: Held, changes: Mapping[str, Any]) -> None:
        """Changes the row if this lease is the newest one and still running."""
        mine = and_(_ROWS.run_id == run.run_id, _ROWS.attempt == run.attempt, _ROWS.state == "leased")
        if not connection.execute(update(queued_runs).where(mine).values(**changes)).rowcount:
            raise LeaseLost(
                f"attempt {run.attempt} is no longer the run's own",
                where=f"run {run.run_id}",
                now="another executor took it over, or it was deleted; nothing of this attempt is kept from here on",
            )

    def _ended(self, connection: Connection, outcome: str, error: Mapping[str, Any] | None) -> dict[str, Any]:
        at = shared_now(connection)
        return {"due": None, "holder": None, "ended_at": at, "outcome": outcome, "error": _text(error)}

    def _take_in(self, connection: Connection, records: Iterable[dict[str, Any]]) -> None:
        """Records as the spool has them, questions to persons, and turns of a session, which stand with the end."""
        records = list(records)
        ask(self._database, connection, [record for record in records if record["kind"] == "review"])
        self._runs.take_in(connection, [record for record in records if record["kind"] != "turn"])
        for turn in records:
            if turn["kind"] == "turn":
                add_messages(connection, (turn["tenant"], turn["agent"], turn["session"]), turn["messages"])


def _is_overdue(at: str, state: str) -> ColumnElement[bool]:
    return exists().where(_ROWS.state == state, _ROWS.due <= at)


def _leased(row: Mapping[Any, Any]) -> LeasedRun:
    body = row["body"]
    route = orjson.loads(row["route"]) if row["route"] else None
    claim = Claim.read(orjson.loads(row["claim"])) if row["claim"] else None
    run_input = orjson.loads(body) if body is not None else None
    return LeasedRun(queued_run(row), run_input, body is not None, route, claim)


def _final(run: Held, outcome: str) -> str:
    return "done" if run.has_caller or outcome in ("finished", "cancelled") else "dead"


def _routed(route: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"route": _text(route)} if route is not None else {}


def _text(document: Mapping[str, Any] | None) -> str | None:
    return orjson.dumps(dict(document)).decode() if document is not None else None
