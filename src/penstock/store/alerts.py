"""Alerts: the last 1,000 things that operators were told of."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import uuid_utils
from sqlalchemy import Connection, delete, func, select, text, update

from penstock.store import tables
from penstock.store.database import Database
from penstock.store.shared_clock import before, shared_now

KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Alert:
    """What a rule found. `run_id` None = it is not about one run; `facts` holds value, limit and the like."""

    rule: str
    agent: str
    severity: str
    what: str
    stage: str | None = None
    run_id: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class AlertStore:
    """Reads and writes alerts. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, alert: Alert, *, count: int, quiet_s: float) -> tuple[dict[str, Any], bool]:
        """Keeps an alert that was found `count` times; returns it as it is kept, and whether it is a new one.

        Within `quiet_s` seconds after a first one the same rule on the same agent only counts on.
        """
        columns = tables.alerts.c
        with self._database.write() as connection:
            _one_at_a_time(connection, f"{alert.rule}/{alert.agent}")
            at = shared_now(connection)
            query = (
                select(columns.id)
                .where(columns.rule == alert.rule, columns.agent == alert.agent)
                .where(columns.first_at > before(at, quiet_s))
                .order_by(columns.first_at.desc())
                .limit(1)
            )
            known = connection.scalar(query)
            if known is not None:
                more = {"count": columns.count + count, "at": at}
                connection.execute(update(tables.alerts).where(columns.id == known).values(more))
            else:
                made = _row(alert, count, at)
                connection.execute(tables.alerts.insert(), made)
                _forget_old(connection)
            row = connection.execute(select(tables.alerts).where(columns.id == (known or made["id"]))).mappings().one()
        return _document(dict(row)), known is None

    def recent(self, *, agent: str | None = None, severity: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Alerts, those that were heard last first."""
        columns = tables.alerts.c
        query = select(tables.alerts).order_by(columns.at.desc(), columns.id.desc()).limit(limit)
        if agent is not None:
            query = query.where(columns.agent == agent)
        if severity is not None:
            query = query.where(columns.severity == severity)
        with self._database.read() as connection:
            return [_document(dict(row)) for row in connection.execute(query).mappings()]

    def untold(self, *, older_s: float, younger_s: float, limit: int) -> list[dict[str, Any]]:
        """Alerts that the webhook does not know, first raised between so many seconds ago, oldest first."""
        columns = tables.alerts.c
        with self._database.read() as connection:
            at = shared_now(connection)
            query = (
                select(tables.alerts)
                .where(columns.told_at.is_(None), columns.first_at <= before(at, older_s))
                .where(columns.first_at >= before(at, younger_s))
                .order_by(columns.first_at)
                .limit(limit)
            )
            return [_document(dict(row)) for row in connection.execute(query).mappings()]

    def mark_told(self, identity: str) -> None:
        """The webhook knows this alert."""
        with self._database.write() as connection:
            values = {"told_at": shared_now(connection)}
            connection.execute(update(tables.alerts).where(tables.alerts.c.id == identity).values(values))


def _one_at_a_time(connection: Connection, key: str) -> None:
    """Two executors that find the same at once make one alert of it; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"alert/{key}"})


def _forget_old(connection: Connection) -> None:
    columns = tables.alerts.c
    if (connection.scalar(select(func.count()).select_from(tables.alerts)) or 0) > KEPT:
        kept = select(columns.id).order_by(columns.at.desc(), columns.id.desc()).limit(KEPT)
        connection.execute(delete(tables.alerts).where(columns.id.not_in(kept)))


def _row(alert: Alert, count: int, at: str) -> dict[str, Any]:
    rest = {"what": alert.what, "stage": alert.stage, "runId": alert.run_id, **alert.facts}
    return {
        "id": str(uuid_utils.uuid7()),
        "rule": alert.rule,
        "agent": alert.agent,
        "severity": alert.severity,
        "first_at": at,
        "at": at,
        "count": count,
        "told_at": None,
        "document": orjson.dumps(rest).decode(),
    }


def _document(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "rule": row["rule"],
        "agent": row["agent"],
        "severity": row["severity"],
        **orjson.loads(row["document"]),
        "firstAt": row["first_at"],
        "at": row["at"],
        "count": row["count"],
        "toldAt": row["told_at"],
    }
