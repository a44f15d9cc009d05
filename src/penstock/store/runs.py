"""Runs: their summaries, events, payloads and intents in the database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from typing import Any

import orjson
from sqlalchemy import Connection, and_, exists, literal_column, select, tuple_, update
from sqlalchemy.sql.elements import ColumnElement

from penstock.store import tables
from penstock.store.archive_format import ArchivedRun
from penstock.store.budget_ledger import BudgetLedger
from penstock.store.clock import moment, now
from penstock.store.database import Database
from penstock.store.erasure import erase
from penstock.store.feedback import FeedbackStore
from penstock.store.payloads import Payload as Payload
from penstock.store.payloads import PayloadRows, is_archived_day
from penstock.store.queue import QueuedRun
from penstock.store.reviews import Decision, ReviewStore
from penstock.store.row_insert import RowInsert
from penstock.store.run_day import day_at, day_of
from penstock.store.run_scores import RunScore, RunScoreStore
from penstock.store.unknown_outcomes import Found, findings

ANSWERED = ("finished", "failed", "timed_out")
CACHED = '"cached":true'
"""In the summary of a run that was answered from the cache; in a text within a summary quotes are escaped."""
FINAL = ("finished", "failed", "cancelled", "timed_out", "rejected")


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a stored run tells a gate; `duration_ms` and `cost_usd` None = not known.

    `is_cached` = an earlier run's answer was given again.
    """

    run_id: str
    status: str
    duration_ms: float | None
    cost_usd: float | None
    started_at: str
    session_id: str | None
    is_cached: bool


class RunStore:
    """Reads runs, and takes in what the spool holds. Raises `Unavailable` when the database fails.

    A run that the database holds no more is read from the archive.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._payloads = PayloadRows(database)
        self._events = RowInsert(lambda: database.insert(tables.events).on_conflict_do_nothing())
        self._intents = RowInsert(lambda: database.insert(tables.intents).on_conflict_do_nothing())
        self._runs = RowInsert(lambda: _unless_final(database.insert(tables.runs)))

    def ingest(self, records: Iterable[dict[str, Any]]) -> None:
        """Takes in spooled records, all or none. What is known already changes nothing; a final status stays."""
        with self._database.write() as connection:
            self.take_in(connection, records)

    def take_in(self, connection: Connection, records: Iterable[dict[str, Any]]) -> None:
        """The same within a transaction of the caller's."""
        by_kind: dict[str, list[dict[str, Any]]] = {"event": [], "run": [], "payload": [], "intent": []}
        by_kind |= {"spending": [], "purse-closed": []}
        for record in records:
            by_kind.setdefault(record["kind"], []).append(record)
        self._events.put(connection, [_event_row(record["event"]) for record in by_kind["event"]])
        self._intents.put(connection, [_intent_row(record) for record in by_kind["intent"]])
        self._payloads.add(connection, by_kind["payload"])
        self._runs.put(connection, [_run_row(record["run"]) for record in by_kind["run"]])
        BudgetLedger(self._database).take_in(connection, by_kind["spending"], by_kind["purse-closed"])
        _archive_again(connection, by_kind)

    def run(self, run_id: str) -> dict[str, Any] | None:
        """The run's summary as the engine wrote it; None when it is not stored (yet)."""
        with self._database.read() as connection:
            text = connection.scalar(select(tables.runs.c.document).where(tables.runs.c.run_id == run_id))
        if text is not None:
            document: dict[str, Any] = orjson.loads(text)
            return document
        archived = self._archived(run_id)
        return archived.run if archived is not None else None

    def runs(
        self,
        *,
        agent: str | None = None,
        stage: str | None = None,
        status: str | None = None,
        tenant: str | None = None,
        session: str | None = None,
        since: str | None = None,
        before: tuple[str, str] | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Summaries, newest first; `since` (RFC 3339) is the earliest start; a tenant of "" is of runs without one.

        `before` is (startedAt, runId) of the last summary that was seen: those after it in this order follow.
        """
        wanted = {"agent": agent, "stage": stage, "status": status, "tenant": tenant, "session_id": session}
        query = select(tables.runs.c.document)
        for name, value in wanted.items():
            if value is not None:
                query = query.where(tables.runs.c[name] == value)
        if since is not None:
            query = query.where(tables.runs.c.started_at >= moment(since))
        if before is not None:
            query = query.where(tuple_(tables.runs.c.started_at, tables.runs.c.run_id) < (moment(before[0]), before[1]))
        query = query.order_by(tables.runs.c.started_at.desc(), tables.runs.c.run_id.desc()).limit(limit)
        with self._database.read() as connection:
            return [orjson.loads(text) for text in connection.scalars(query)]

    def events(self, run_id: str, after_seq: int = 0) -> list[dict[str, Any]]:
        """The run's events in their order, those after `after_seq`."""
        columns = tables.events.c
        query = (
            select(columns.document)
            .where(columns.run_id == run_id, columns.seq > after_seq)
            .order_by(columns.attempt, columns.seq)
        )
        with self._database.read() as connection:
            texts = connection.scalars(query).all()
            if not texts and after_seq:  # all of them were seen, if there are any
                texts = connection.scalars(select(columns.id).where(columns.run_id == run_id).limit(1)).all()
                if texts:
                    return []
        if texts:
            return [orjson.loads(text) for text in texts]
        archived = self._archived(run_id)
        return [event for event in archived.events if event["seq"] > after_seq] if archived is not None else []

    def payloads(self, run_id: str, roles: Sequence[str] = ()) -> list[Payload]:
        """The run's payloads in the order in which they came, wherever they are kept; empty once they are deleted.

        `roles` names those that are wanted; none = all.
        """
        return self._payloads.of_run(run_id, roles)

    def intents(self, run_id: str) -> list[str]:
        """The ids of the run's writing calls that were about to be made."""
        columns = tables.intents.c
        with self._database.read() as connection:
            return list(connection.scalars(select(columns.call_id).where(columns.run_id == run_id)))

    def decisions(self, run_id: str) -> list[Decision]:
        """What persons, or the time, decided on calls of the run."""
        return ReviewStore(self._database).decisions(run_id)

    def found(self, row: QueuedRun) -> dict[str, Found]:
        """What persons found of writing calls of unknown outcome, by the calls' ids."""
        return findings(self._database, row)

    def delete_payloads(self, run_id: str) -> int:
        """Deletes the run's payloads for good, with what was written about them, and keeps its facts.

        The payload store and the archive are cleared too; where one is away that is `Unavailable`, and the next purge
        does it. Returns how many payloads the database held.
        """
        count = self._payloads.delete(run_id)
        erase(self._database, run_id)
        return count

    def live_runs(self, agent: str, release: str, stage: str, since: str) -> list[RunRow]:
        """Live runs of a release at a stage that started at or after `since` (RFC 3339), oldest first."""
        columns = tables.runs.c
        query = (
            select(
                columns.run_id,
                columns.status,
                columns.duration_ms,
                columns.cost_usd,
                columns.started_at,
                columns.session_id,
                columns.document.contains(CACHED),
            )
            .where(live_and_over(agent, release, stage, since))
            .order_by(columns.started_at)
        )
        with self._database.read() as connection:
            return [RunRow(*row) for row in connection.execute(query)]

    def live_scores(self, agent: str, release: str, stage: str, since: str) -> list[RunScore]:
        """What online scorers made of these live runs, failed and claimed ones too."""
        return RunScoreStore(self._database).scores(agent, release, stage, since)

    def live_ratings(self, agent: str, release: str, stage: str, since: str) -> list[float]:
        """What users said since then of a release's runs at a stage, -1 to 1."""
        return FeedbackStore(self._database).ratings(agent, release, stage, since)

    def sample(
        self, agent: str, release: str, *, stages: Sequence[str], since: str, until: str, limit: int
    ) -> list[str]:
        """Ids of live runs of a release that started in [since, until) (RFC 3339) and can be run again.

        They ended by themselves (finished, failed, timed out) and their payloads are there. Where there are more than
        `limit`, the digests of their ids choose: the same runs for everybody, whatever they are about.
        """
        columns, payloads = tables.runs.c, tables.payloads.c
        has_input = exists().where(payloads.run_id == columns.run_id, payloads.role == "input")
        query = (
            select(columns.run_id)
            .where(columns.agent == agent, columns.release == release, columns.mode == "live")
            .where(columns.stage.in_(stages), columns.status.in_(ANSWERED), has_input)
            .where(columns.started_at >= moment(since), columns.started_at < moment(until))
        )
        with self._database.read() as connection:
            return nsmallest(limit, connection.scalars(query), key=_by_chance)

    def _archived(self, run_id: str) -> ArchivedRun | None:
        if self._database.depots is None:
            return None
        with self._database.read() as connection:
            if not is_archived_day(connection, run_id):
                return None
        return self._database.depots.archive.find(run_id)


def _unless_final(insert: Any) -> Any:
    """The insert of runs, which changes one that is there already while it has no final status."""
    kept = {"run_id", "archived_at"}
    changes = {column.name: insert.excluded[column.name] for column in tables.runs.c if column.name not in kept}
    unfinished = tables.runs.c.status.not_in([literal_column(f"'{status}'") for status in FINAL])
    return insert.on_conflict_do_update(index_elements=["run_id"], set_=changes, where=unfinished)


def live_and_over(agent: str, release: str, stage: str, since: str) -> ColumnElement[bool]:
    """Of rows of runs: live ones of a release at a stage that started at or after `since` (RFC 3339) and are over."""
    columns = tables.runs.c
    return and_(
        columns.agent == agent,
        columns.release == release,
        columns.stage == stage,
        columns.mode == "live",
        columns.started_at >= moment(since),
        columns.status.in_(FINAL),
    )


def _archive_again(connection: Connection, by_kind: dict[str, list[dict[str, Any]]]) -> None:
    """What comes late, from the spool of an executor that died long ago, is not in the archive yet."""
    today = day_at(now())
    ids = {record["event"]["runId"] for record in by_kind["event"]}
    ids |= {record["runId"] for record in (*by_kind["payload"], *by_kind["intent"])}
    late = [run_id for run_id in ids if day_of(run_id) < today]
    if late:
        archived = and_(tables.runs.c.run_id.in_(late), tables.runs.c.archived_at.is_not(None))
        connection.execute(update(tables.runs).where(archived).values(archived_at=None))


def _by_chance(run_id: str) -> bytes:
    """Ids sort by time; their digests by nothing that a run could be chosen for."""
    return sha256(run_id.encode()).digest()


def _event_row(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": event["id"],
        "run_id": event["runId"],
        "attempt": event.get("attempt", 1),
        "seq": event["seq"],
        "type": event["type"],
        "document": _text(event),
    }


def _intent_row(record: dict[str, Any]) -> dict[str, Any]:
    return {"run_id": record["runId"], "call_id": record["callId"], "document": _text(record)}


def _run_row(run: dict[str, Any]) -> dict[str, Any]:
    usage = run.get("usage") or {}
    return {
        "run_id": run["runId"],
        "agent": run["agent"],
        "version": run["version"],
        "release": run["release"],
        "stage": run["stage"],
        "mode": run["mode"],
        "status": run["status"],
        "tenant": run.get("tenant") or "",
        "session_id": run.get("sessionId"),
        "started_at": moment(run["startedAt"]),
        "duration_ms": run.get("durationMs"),
        "cost_usd": usage.get("costUsd"),
        "team": run.get("team"),
        "prompt_tokens": usage.get("promptTokens"),
        "completion_tokens": usage.get("completionTokens"),
        "document": _text(run),
    }


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
