"""The queue: runs that were accepted and that any executor may run.

Accepted means stored: the row, the run's input and its idempotency key are one transaction. Who runs them asks
`store.queue_lease`; what nobody could finish is in `store.queue_dead`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson
from sqlalchemy import Connection, func, select, update

from penstock.store import tables
from penstock.store.clock import seconds_between
from penstock.store.database import Database
from penstock.store.idempotency import IdempotencyKey, known_target, take_key
from penstock.store.payload_objects import Claim
from penstock.store.payloads import payload_row
from penstock.store.shared_clock import before, shared_now
from penstock.store.tables_queue import queued_runs

Kind = Literal["sync", "async", "batch"]
State = Literal["accepted", "delayed", "leased", "review", "done", "dead", "replayed"]
PRIORITY: Mapping[str, int] = {"sync": 0, "async": 0, "batch": 1}
OUTCOME_UNKNOWN: Final = "outcome-unknown"
"""The code of a run that stopped because nobody knows what became of a writing call; it has not ended."""
CHUNK = 1_000

_ROWS = queued_runs.c
_UNENDED: tuple[State, ...] = ("accepted", "delayed", "leased", "review", "dead")


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be accepted.

    `order` is what the caller asked for beside the input (user, sessionId, version, stage); `line` is its line in a
    batch, from 1. `claim` stands for an input that is in the payload store.
    """

    run_id: str
    input: Any
    order: Mapping[str, Any] = field(default_factory=dict)
    line: int | None = None
    claim: Claim | None = None

    @property
    def payload(self) -> dict[str, Any]:
        """The input as a payload's record."""
        where = {"body": self.input} if self.claim is None else {"claim": self.claim.as_document()}
        return {"runId": self.run_id, "role": "input", "ref": "input", **where}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the runs accepted together share: `tries` is how often each may fail before it is a dead letter.

    With a `holder` they are leased to it for `lease_s` seconds from the start, and wait for nobody.
    """

    tenant: str | None
    agent: str
    kind: Kind = "async"
    tries: int = 3
    batch: str | None = None
    holder: str | None = None
    lease_s: float = 10.0


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A row of the queue as readers see it; times are RFC 3339."""

    run_id: str
    kind: Kind
    tenant: str | None
    agent: str
    batch: str | None
    line: int | None
    state: State
    attempt: int
    failures: int
    cancelled: bool
    created_at: str
    ended_at: str | None
    outcome: str | None
    order: dict[str, Any]
    error: dict[str, Any] | None

    @property
    def status(self) -> str:
        """The run's status for its caller: queued, running, review, or how it ended."""
        return status_of(self.state, self.outcome, cancelled=self.cancelled)


@dataclass(frozen=True, slots=True)
class Depth:
    """How many runs of a kind are in a state, and for how many seconds the oldest of them has been known."""

    kind: str
    state: str
    runs: int
    oldest_s: float


class RunQueue:
    """Takes runs in and says where they are. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, run: NewRun, terms: Terms, key: IdempotencyKey | None = None) -> str:
        """Stores the run and its key; returns its id, or that of the run that the key brought before.

        Raises `Invalid` when the key stands for another request.
        """
        with self._database.write() as connection:
            if key is not None:
                known = take_key(self._database, connection, (terms.tenant or "", terms.agent), key, run.run_id)
                if known != run.run_id:
                    return known
            self.put(connection, [run], terms)
        return run.run_id

    def put(self, connection: Connection, runs: Sequence[NewRun], terms: Terms) -> None:
        """Adds runs within a transaction of the caller's."""
        at = shared_now(connection)
        turn = _turn(connection, terms)
        rows = [_row(run, terms, turn + index, at) for index, run in enumerate(runs)]
        inputs = [payload_row(run.payload) for run in runs]
        for start in range(0, len(rows), CHUNK):
            connection.execute(queued_runs.insert(), rows[start : start + CHUNK])
            connection.execute(tables.payloads.insert(), inputs[start : start + CHUNK])

    def bound(self, terms: Terms, key: IdempotencyKey) -> str | None:
        """The run or batch that the key brought before; None of a new one. Raises `Invalid` as `accept` does."""
        with self._database.read() as connection:
            return known_target(connection, (terms.tenant or "", terms.agent), key)

    def get(self, run_id: str) -> QueuedRun | None:
        """The run's row; None of a run that was never queued, or is no longer kept."""
        with self._database.read() as connection:
            row = connection.execute(select(queued_runs).where(_ROWS.run_id == run_id)).mappings().first()
        return queued_run(row) if row is not None else None

    def cancel(self, run_id: str) -> bool:
        """Asks for the run's end: whoever has it hears of it, and nobody else starts it. False if it has ended.

        A run that waits for a person goes back to the queue, so that its end is written down.
        """
        with self._database.write() as connection:
            row = connection.execute(
                select(_ROWS.state, _ROWS.outcome).where(_ROWS.run_id == run_id).with_for_update()
            ).first()
            if row is None or row.outcome is not None or row.state in ("done", "replayed"):
                return False
            back = {} if row.state == "leased" else {"state": "accepted", "due": None}
            connection.execute(update(queued_runs).where(_ROWS.run_id == run_id).values(cancelled=True, **back))
        return True

    def depths(self) -> list[Depth]:
        """How many runs are in each state, those that are over or cancelled apart."""
        query = select(_ROWS.kind, _ROWS.state, func.count(), func.min(_ROWS.created_at))
        waiting = query.where(_ROWS.state.in_(_UNENDED), _ROWS.cancelled.is_(False))
        with self._database.read() as connection:
            at = shared_now(connection)
            rows = connection.execute(waiting.group_by(_ROWS.kind, _ROWS.state).order_by(_ROWS.kind, _ROWS.state)).all()
        return [Depth(kind, state, runs, seconds_between(oldest, at)) for kind, state, runs, oldest in rows]


def status_of(state: str, outcome: str | None, *, cancelled: bool) -> str:
    """A run's status for its caller; a run that stopped without an end waits for a person."""
    if outcome is not None or state == "leased":
        return outcome or "running"
    if cancelled:
        return "cancelled"  # nobody will run it: whoever takes it next writes that down
    return "queued" if state in ("accepted", "delayed") else "review"


def queued_run(row: Mapping[Any, Any]) -> QueuedRun:
    """The row of the table as readers see it."""
    return QueuedRun(
        run_id=row["run_id"],
        kind=row["kind"],
        tenant=row["tenant"] or None,
        agent=row["agent"],
        batch=row["batch"],
        line=row["line"],
        state=row["state"],
        attempt=row["attempt"],
        failures=row["failures"],
        cancelled=bool(row["cancelled"]),
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        outcome=row["outcome"],
        order=orjson.loads(row["document"]),
        error=orjson.loads(row["error"]) if row["error"] else None,
    )


def _turn(connection: Connection, terms: Terms) -> int:
    """The first turn of a lane's new runs: behind the lane's own, beside the first of all others.

    A lane is what one tenant asks of one agent. So lanes take turns, whoever sent how many (start-time fair queueing).
    """
    waiting = (_ROWS.state == "accepted") & (_ROWS.priority == PRIORITY[terms.kind])
    own = (_ROWS.tenant == (terms.tenant or "")) & (_ROWS.agent == terms.agent)
    last = connection.scalar(select(func.max(_ROWS.turn)).where(waiting, own))
    first = connection.scalar(select(func.min(_ROWS.turn)).where(waiting))
    return max(first or 0, -1 if last is None else last + 1)


def _row(run: NewRun, terms: Terms, turn: int, at: str) -> dict[str, Any]:
    held = terms.holder is not None
    return {
        "run_id": run.run_id,
        "kind": terms.kind,
        "tenant": terms.tenant or "",
        "agent": terms.agent,
        "batch": terms.batch,
        "line": run.line,
        "priority": PRIORITY[terms.kind],
        "turn": turn,
        "state": "leased" if held else "accepted",
        "attempt": 1 if held else 0,
        "failures": 0,
        "tries": terms.tries,
        "cancelled": False,
        "holder": terms.holder,
        "due": before(at, -terms.lease_s) if held else None,
        "created_at": at,
        "document": orjson.dumps(_given(run.order)).decode(),
    }


def _given(order: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if value is not None}
