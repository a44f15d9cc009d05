"""Reviews: calls that wait for a person, and what was decided. The run goes on once each of its calls is decided.

What a person decides, who and when, stands here from then on; the run tells it in an event when it goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, and_, delete, exists, select, update
from sqlalchemy.engine import Row

from penstock.errors import Conflict, NotFound, WrongUse
from penstock.store.database import Database
from penstock.store.payloads import PayloadRows
from penstock.store.shared_clock import before, shared_now
from penstock.store.tables_queue import queued_runs
from penstock.store.tables_reviews import reviews

Outcome = Literal["approved", "rejected", "expired"]
OPEN = "open"
ROLE = "review"
"""Of the payloads that are asked about, and of those that a person put in their place."""
SWEPT_AT_ONCE = 100

_ROWS, _RUNS = reviews.c, queued_runs.c


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of a call. `by` is None when nobody said so or nobody decided.

    `arguments` are a person's own in place of the model's; None = the model's.
    """

    call_id: str
    outcome: Outcome
    by: str | None
    at: str
    comment: str | None
    arguments: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says of a call."""

    outcome: Literal["approved", "rejected"]
    by: str | None
    comment: str | None
    arguments: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A question to a person; times are RFC 3339.

    `facts` are version, release, argumentsDigest, toolRef, onExpiry, user. `arguments` None = they were deleted.
    """

    run_id: str
    call_id: str
    tenant: str | None
    agent: str
    tool: str
    state: str
    created_at: str
    expires_at: str
    decided_at: str | None
    decided_by: str | None
    comment: str | None
    facts: Mapping[str, Any]
    arguments: Any = None


def asked_ref(call_id: str) -> str:
    """The name under which a call's arguments are kept for the person who is asked."""
    return f"review-{call_id}"


def edited_ref(call_id: str) -> str:
    """The name under which a person's own arguments are kept."""
    return f"review-{call_id}-edited"


def ask(database: Database, connection: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Puts questions within a transaction of the caller's; one that was put before stays as it is."""
    at = shared_now(connection) if records else ""
    for record in records:
        row = {
            "run_id": record["runId"],
            "call_id": record["callId"],
            "tenant": record["tenant"] or "",
            "agent": record["agent"],
            "tool": record["tool"],
            "state": OPEN,
            "created_at": at,
            "expires_at": before(at, -60.0 * record["expiresMinutes"]),
            "document": orjson.dumps(record["facts"]).decode(),
        }
        connection.execute(database.insert(reviews).values(**row).on_conflict_do_nothing())


class ReviewStore:
    """Reads and decides reviews. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reviews(
        self, *, tenant: str | None = None, agent: str | None = None, state: str | None = OPEN, limit: int = 50
    ) -> list[Review]:
        """Reviews, the oldest first; of one tenant ("" = of none), agent and state where these are given.

        Open ones are those whose run waits.
        """
        query = select(reviews).order_by(_ROWS.created_at, _ROWS.run_id, _ROWS.call_id).limit(limit)
        for column, wanted in ((_ROWS.tenant, tenant), (_ROWS.agent, agent), (_ROWS.state, state)):
            if wanted is not None:
                query = query.where(column == wanted)
        if state == OPEN:
            query = query.where(exists().where(_RUNS.run_id == _ROWS.run_id, _waits()))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [self._review(row) for row in rows]

    def decisions(self, run_id: str) -> list[Decision]:
        """What was decided of the run's calls so far."""
        with self._database.read() as connection:
            decided = select(reviews).where(_ROWS.run_id == run_id, _ROWS.state != OPEN)
            rows = connection.execute(decided).all()
        if not rows:
            return []
        bodies = {one.ref: one.body for one in PayloadRows(self._database).of_run(run_id, (ROLE,))}
        return [
            Decision(
                row.call_id, row.state, row.decided_by, row.decided_at, row.comment, bodies.get(edited_ref(row.call_id))
            )
            for row in rows
        ]

    def find(self, run_id: str, call_id: str | None, tenant: str | None) -> Review:
        """The review of that call, or, where none is named, of the only call of the run that waits.

        Raises `NotFound` for what is not there or another tenant's, `WrongUse` where several wait, and `Conflict`
        where none does any more.
        """
        with self._database.read() as connection:
            row = _chosen(connection, run_id, call_id, tenant)
        return self._review(row)

    def decide(self, run_id: str, call_id: str, word: Word) -> Review:
        """Writes a decision down, and lets the run go on if it was the last that it waited for.

        Raises `NotFound`, and `Conflict` when the call is decided or expired, or the run does not wait for it.
        """
        with self._database.write() as connection:
            is_waiting = _lock(connection, run_id)
            row = _chosen(connection, run_id, call_id, None)
            at = shared_now(connection)
            _require_open(row, at, is_waiting=is_waiting)
            changes = {"state": word.outcome, "decided_at": at, "decided_by": word.by, "comment": word.comment}
            mine = and_(_ROWS.run_id == run_id, _ROWS.call_id == call_id)
            connection.execute(update(reviews).where(mine).values(**changes))
            if word.arguments is not None:
                edited = {"runId": run_id, "role": ROLE, "ref": edited_ref(call_id), "body": word.arguments}
                PayloadRows(self._database).add(connection, [edited])
            go_on(connection, run_id)
        return self.find(run_id, call_id, row.tenant or None)

    def expire(self) -> int:
        """Gives up what nobody decided in time, by the database's clock; returns how many calls. Mostly only reads."""
        with self._database.read() as connection:
            overdue = and_(_ROWS.state == OPEN, _ROWS.expires_at <= shared_now(connection))
            run_ids = list(connection.scalars(select(_ROWS.run_id).where(overdue).distinct().limit(SWEPT_AT_ONCE)))
        count = 0
        for run_id in run_ids:
            with self._database.write() as connection:
                _lock(connection, run_id)
                at = shared_now(connection)
                over = and_(_ROWS.run_id == run_id, _ROWS.state == OPEN, _ROWS.expires_at <= at)
                count += connection.execute(update(reviews).where(over).values(state="expired", decided_at=at)).rowcount
                go_on(connection, run_id)
        return count

    def purge(self) -> int:
        """Forgets the reviews of runs that the queue has forgotten; returns how many."""
        with self._database.write() as connection:
            known = exists().where(_RUNS.run_id == _ROWS.run_id)
            return connection.execute(delete(reviews).where(~known)).rowcount

    def _review(self, row: Row[Any]) -> Review:
        bodies = {one.ref: one.body for one in PayloadRows(self._database).of_run(row.run_id, (ROLE,))}
        return Review(
            run_id=row.run_id,
            call_id=row.call_id,
            tenant=row.tenant or None,
            agent=row.agent,
            tool=row.tool,
            state=row.state,
            created_at=row.created_at,
            expires_at=row.expires_at,
            decided_at=row.decided_at,
            decided_by=row.decided_by,
            comment=row.comment,
            facts=orjson.loads(row.document),
            arguments=bodies.get(asked_ref(row.call_id)),
        )


def _waits() -> Any:
    return and_(_RUNS.state == "review", _RUNS.cancelled.is_(False))


def _lock(connection: Connection, run_id: str) -> bool:
    """Makes all who decide on calls of the run take turns; returns whether it waits for a person."""
    query = select(_RUNS.state, _RUNS.cancelled).where(_RUNS.run_id == run_id).with_for_update()
    row = connection.execute(query).first()
    return row is not None and row.state == "review" and not row.cancelled


def go_on(connection: Connection, run_id: str) -> None:
    """Gives a run that waits back to the queue once nothing of it is open; within a transaction of the caller's."""
    is_open = exists().where(_ROWS.run_id == run_id, _ROWS.state == OPEN)
    waiting = and_(_RUNS.run_id == run_id, _waits(), ~is_open)
    back = {"state": "accepted", "ended_at": None, "due": None, "error": None}
    connection.execute(update(queued_runs).where(waiting).values(**back))


def _chosen(connection: Connection, run_id: str, call_id: str | None, tenant: str | None) -> Row[Any]:
    query = select(reviews).where(_ROWS.run_id == run_id).order_by(_ROWS.created_at, _ROWS.call_id)
    if call_id is not None:
        query = query.where(_ROWS.call_id == call_id)
    rows = connection.execute(query).all()
    if tenant is not None:
        rows = [row for row in rows if row.tenant == tenant]
    if not rows:
        raise NotFound("no call of it was asked about", where=f"run {run_id}", now="`agentctl review list`")
    if call_id is not None:
        return rows[0]
    waiting = [row for row in rows if row.state == OPEN]
    if len(waiting) > 1:
        calls = ", ".join(f"{row.call_id} ({row.tool})" for row in waiting)
        raise WrongUse(f"{len(waiting)} calls wait: {calls}", where=f"run {run_id}", now="name one as callId")
    return waiting[0] if waiting else max(rows, key=lambda row: row.decided_at)


def _require_open(row: Row[Any], at: str, *, is_waiting: bool) -> None:
    where = f"run {row.run_id}, call {row.call_id}"
    if row.state in ("approved", "rejected"):
        by = f" by {row.decided_by}" if row.decided_by else ""
        raise Conflict(f"it was {row.state}{by} at {row.decided_at}", where=where, now="a decision stays")
    if row.state == "expired" or row.expires_at <= at:
        raise Conflict(f"it expired at {row.expires_at}", where=where, now="start the run again")
    if not is_waiting:
        raise Conflict("the run does not wait for it", where=where, now="GET /v1/runs/{id} says how it is")
