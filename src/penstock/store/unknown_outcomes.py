"""Writing calls whose outcome nobody knows: their executor died in the call, and their run stopped. A person looks.

What they say stands in the run's order, and the result that they found among its payloads; the run tells it in an
event when it goes on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, and_, delete, select, update

from penstock.errors import NotFound, WrongUse
from penstock.store import tables
from penstock.store.database import Database
from penstock.store.payloads import PayloadRows
from penstock.store.queue import OUTCOME_UNKNOWN, QueuedRun, queued_run
from penstock.store.reviews import ROLE
from penstock.store.shared_clock import shared_now
from penstock.store.tables_queue import queued_runs

_ROWS = queued_runs.c
_TOLD = ("review.requested", "review.decided", "tool.finished", "tool.failed")


@dataclass(frozen=True, slots=True)
class UnknownCall:
    """A call that may have been made; `release` is the digest of the release that the run runs on."""

    run_id: str
    call_id: str
    tool: str
    idempotency_key: str
    release: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person found of such a call: it was made, and gave `result`, or it is to be made again (`repeat`)."""

    decision: Literal["made", "repeat"]
    by: str | None
    comment: str | None = None
    result: Any = None


@dataclass(frozen=True, slots=True)
class Found:
    """A finding as the run meets it when it goes on; `at` is RFC 3339, by the database's clock."""

    finding: Finding
    at: str

    def as_document(self) -> dict[str, Any]:
        """All but the result, which is a payload."""
        finding = self.finding
        return {"decision": finding.decision, "by": finding.by, "at": self.at, "comment": finding.comment}


class UnknownOutcomes:
    """Reads such calls, and takes in what was found of them. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, run_id: str, call_id: str | None = None) -> UnknownCall:
        """The call of that id, or, where none is named, the only one that the run stopped for.

        Raises `NotFound` if the run waits for no such call, `WrongUse` where it waits for several and none is named.
        """
        with self._database.read() as connection:
            return _chosen(_calls(connection, _stopped(connection, run_id)), run_id, call_id)

    def settle(self, call: UnknownCall, finding: Finding) -> None:
        """Writes the finding down and lets the run go on; it stops again for what else of it is unknown.

        Raises `NotFound` if the run does not wait for it any more.
        """
        with self._database.write() as connection:
            row = _stopped(connection, call.run_id, lock=True)
            _chosen(_calls(connection, row), call.run_id, call.call_id)
            if finding.decision == "made":
                result = {"runId": call.run_id, "role": ROLE, "ref": _ref(call.call_id), "body": finding.result}
                PayloadRows(self._database).add(connection, [result])
            _go_on(connection, row, {call.call_id: finding})


def repeat_calls(connection: Connection, row: QueuedRun, by: str | None) -> None:
    """Lets the run go on and make each of its unknown calls again; within a transaction that holds its row."""
    calls = _calls(connection, row)
    _go_on(connection, row, {call_id: Finding("repeat", by) for call_id in calls})


def is_unknown(row: QueuedRun) -> bool:
    """Whether the run stopped since nobody knows what became of a writing call; it has not ended then."""
    return row.state == "dead" and row.outcome is None and (row.error or {}).get("code") == OUTCOME_UNKNOWN


def findings(database: Database, row: QueuedRun) -> dict[str, Found]:
    """What was found of the run's calls so far, by their ids; nothing of one whose result was deleted."""
    told: dict[str, Any] = row.order.get("found", {})
    if not told:
        return {}
    results = {one.ref: one.body for one in PayloadRows(database).of_run(row.run_id, (ROLE,))}
    return {
        call_id: Found(Finding(one["decision"], one["by"], one["comment"], results.get(_ref(call_id))), one["at"])
        for call_id, one in told.items()
        if one["decision"] == "repeat" or _ref(call_id) in results
    }


def unknown_calls(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What events in their order say of calls that were asked about for this and neither settled nor ended, by ids."""
    open_calls: dict[str, dict[str, Any]] = {}
    for event in events:
        data = event["data"]
        if event["type"] == "review.requested" and data["reason"] == OUTCOME_UNKNOWN:
            open_calls[data["callId"]] = data
        elif event["type"] in _TOLD and (event["type"] != "review.decided" or data.get("reason") == OUTCOME_UNKNOWN):
            open_calls.pop(data["callId"], None)
    return open_calls


def _ref(call_id: str) -> str:
    return f"outcome-{call_id}"


def _stopped(connection: Connection, run_id: str, *, lock: bool = False) -> QueuedRun:
    query = select(queued_runs).where(_ROWS.run_id == run_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    found = queued_run(row) if row is not None else None
    if found is None or not is_unknown(found):
        raise NotFound("it waits for no call of unknown outcome", where=f"run {run_id}", now="`agentctl queue dead`")
    return found


def _calls(connection: Connection, row: QueuedRun) -> dict[str, UnknownCall]:
    columns = tables.events.c
    mine = and_(columns.run_id == row.run_id, columns.type.in_(_TOLD))
    query = select(columns.document).where(mine).order_by(columns.attempt, columns.seq)
    events = [orjson.loads(text) for text in connection.scalars(query)]
    route = connection.scalar(select(_ROWS.route).where(_ROWS.run_id == row.run_id))
    release = orjson.loads(route)["release"] if route else ""
    return {
        call_id: UnknownCall(row.run_id, call_id, data["tool"], data["idempotencyKey"], release)
        for call_id, data in unknown_calls(events).items()
    }


def _chosen(calls: Mapping[str, UnknownCall], run_id: str, call_id: str | None) -> UnknownCall:
    where = f"run {run_id}"
    if call_id is None and len(calls) > 1:
        named = ", ".join(f"{one.call_id} ({one.tool})" for one in calls.values())
        raise WrongUse(f"the outcome of {len(calls)} calls is unknown: {named}", where=where, now="name one: --call")
    found = calls.get(call_id) if call_id is not None else next(iter(calls.values()), None)
    if found is None:
        raise NotFound("it waits for no such call", where=where, now="`agentctl queue dead` says what it waits for")
    return found


def _go_on(connection: Connection, row: QueuedRun, found: Mapping[str, Finding]) -> None:
    """Puts the run back into the queue. What is to be made again is asked about anew if that attempt dies as well."""
    at = shared_now(connection)
    told = {call_id: Found(finding, at).as_document() for call_id, finding in found.items()}
    order = {**row.order, "found": {**row.order.get("found", {}), **told}}
    changes = {"state": "accepted", "ended_at": None, "due": None, "error": None}
    document = orjson.dumps(order).decode()
    connection.execute(update(queued_runs).where(_ROWS.run_id == row.run_id).values(document=document, **changes))
    again = [call_id for call_id, finding in found.items() if finding.decision == "repeat"]
    columns = tables.intents.c
    connection.execute(delete(tables.intents).where(columns.run_id == row.run_id, columns.call_id.in_(again)))
