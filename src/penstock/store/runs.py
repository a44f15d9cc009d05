"""Runs: their summaries, events, payloads and intents in the database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, exists, select
from sqlalchemy.sql.elements import ColumnElement

from penstock.store import tables
from penstock.store.budget_ledger import BudgetLedger
from penstock.store.clock import moment, now
from penstock.store.database import Database
from penstock.store.feedback import FeedbackStore, drop_texts
from penstock.store.run_scores import RunScore, RunScoreStore, drop_reasons

ANSWERED = ("finished", "failed", "timed_out")
FINAL = ("finished", "failed", "cancelled", "timed_out", "rejected")


@dataclass(frozen=True, slots=True)
class RunRow:
    """What a stored run tells a gate; `duration_ms` and `cost_usd` None = not known."""

    run_id: str
    status: str
    duration_ms: float | None
    cost_usd: float | None
    started_at: str
    session_id: str | None


@dataclass(frozen=True, slots=True)
class Payload:
    """A text that a run's events refer to; `role` is input, output, messages or journal."""

    ref: str
    role: str
    body: Any


class RunStore:
    """Reads runs, and takes in what the spool holds. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ingest(self, records: Iterable[dict[str, Any]]) -> None:
        """Takes in spooled records, all or none. What is known already changes nothing; a final status stays."""
        by_kind: dict[str, list[dict[str, Any]]] = {"event": [], "run": [], "payload": [], "intent": []}
        by_kind |= {"spending": [], "purse-closed": []}
        for record in records:
            by_kind.setdefault(record["kind"], []).append(record)
        with self._database.write() as connection:
            self._add(connection, tables.events, [_event_row(record["event"]) for record in by_kind["event"]])
            self._add(connection, tables.intents, [_intent_row(record) for record in by_kind["intent"]])
            self._add_payloads(connection, by_kind["payload"])
            self._put_runs(connection, [_run_row(record["run"]) for record in by_kind["run"]])
            BudgetLedger(self._database).take_in(connection, by_kind["spending"], by_kind["purse-closed"])

    def run(self, run_id: str) -> dict[str, Any] | None:
        """The run's summary as the engine wrote it; None when the database does not have it (yet)."""
        with self._database.read() as connection:
            text = connection.scalar(select(tables.runs.c.document).where(tables.runs.c.run_id == run_id))
        return orjson.loads(text) if text is not None else None

    def runs(
        self,
        *,
        agent: str | None = None,
        stage: str | None = None,
        status: str | None = None,
        tenant: str | None = None,
        since: str | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Summaries, newest first; `since` (RFC 3339) is the earliest start."""
        wanted = {"agent": agent, "stage": stage, "status": status, "tenant": tenant}
        query = select(tables.runs.c.document)
        for name, value in wanted.items():
            if value is not None:
                query = query.where(tables.runs.c[name] == value)
        if since is not None:
            query = query.where(tables.runs.c.started_at >= moment(since))
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
            return [orjson.loads(text) for text in connection.scalars(query)]

    def payloads(self, run_id: str) -> list[Payload]:
        """The run's payloads in the order in which they came; empty once they are deleted."""
        columns = tables.payloads.c
        query = select(columns.ref, columns.role, columns.body).where(columns.run_id == run_id).order_by(columns.id)
        with self._database.read() as connection:
            return [Payload(row.ref, row.role, orjson.loads(row.body)) for row in connection.execute(query)]

    def delete_payloads(self, run_id: str) -> int:
        """Deletes the run's payloads for good, with what was written about them, and keeps its facts.

        Returns how many payloads there were.
        """
        with self._database.write() as connection:
            mark = self._database.insert(tables.payload_deletions).on_conflict_do_nothing()
            connection.execute(mark, {"run_id": run_id, "at": now()})
            drop_texts(connection, run_id)
            drop_reasons(connection, run_id)
            return connection.execute(delete(tables.payloads).where(tables.payloads.c.run_id == run_id)).rowcount

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

    def _add(self, connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
        if rows:
            connection.execute(self._database.insert(table).on_conflict_do_nothing(), rows)

    def _add_payloads(self, connection: Connection, records: list[dict[str, Any]]) -> None:
        run_ids = {record["runId"] for record in records}
        if not run_ids:
            return
        column = tables.payload_deletions.c.run_id
        deleted = set(connection.scalars(select(column).where(column.in_(run_ids))))
        self._add(
            connection,
            tables.payloads,
            [_payload_row(record) for record in records if record["runId"] not in deleted],
        )

    def _put_runs(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        insert: Any = self._database.insert(tables.runs)
        changes = {name: insert.excluded[name] for name in rows[0] if name != "run_id"}
        unfinished = and_(*(tables.runs.c.status != status for status in FINAL))  # IN cannot go with many rows
        statement = insert.on_conflict_do_update(index_elements=["run_id"], set_=changes, where=unfinished)
        connection.execute(statement, rows)


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


def _payload_row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "run_id": record["runId"],
        "role": record["role"],
        "ref": record["ref"],
        "body": _text(record["body"]),
    }


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
