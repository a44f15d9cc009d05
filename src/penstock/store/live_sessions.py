"""What live sessions left behind: their runs and what users said of them, read in one query each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select

from penstock.store import tables
from penstock.store.clock import moment
from penstock.store.database import Database
from penstock.store.runs import CACHED, live_and_over

FETCHED = 1_000
"""Rows that are held at a time: a run's summary is read for a few of its fields."""


@dataclass(frozen=True, slots=True)
class SessionRun:
    """A live run that is over, as a comparison of releases sees it.

    `session_id` None = a run without a session; `duration_ms`, `cost_usd` and the counts of tool calls None = not
    known; `routed_by` (a route's reason) None = no route chose the release, or an older program did not say.
    """

    run_id: str
    status: str
    started_at: str
    tenant: str
    session_id: str | None
    duration_ms: float | None
    cost_usd: float | None
    routed_by: str | None
    tool_calls: int | None
    tool_failures: int | None


@dataclass(frozen=True, slots=True)
class Word:
    """What a user said of a run, from -1 (down) to 1 (up)."""

    run_id: str
    at: str
    rating: float


class LiveSessions:
    """Reads what live sessions of a release at a stage left. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs(self, agent: str, release: str, stage: str, since: str) -> list[SessionRun]:
        """Live runs that are over and started at or after `since` (RFC 3339), oldest first.

        Answers out of the cache are left out: they say nothing of the release.
        """
        columns = tables.runs.c
        query = (
            select(
                columns.run_id,
                columns.status,
                columns.started_at,
                columns.tenant,
                columns.session_id,
                columns.duration_ms,
                columns.cost_usd,
                columns.document,
            )
            .where(live_and_over(agent, release, stage, since), ~columns.document.contains(CACHED))
            .order_by(columns.started_at, columns.run_id)
            .execution_options(yield_per=FETCHED)
        )
        with self._database.read() as connection:
            return [_session_run(row) for row in connection.execute(query)]

    def words(self, agent: str, release: str, stage: str, since: str) -> list[Word]:
        """What was said at or after `since` (RFC 3339) of a release's runs at a stage, oldest first."""
        columns = tables.feedback.c
        query = (
            select(columns.run_id, columns.at, columns.rating)
            .where(columns.agent == agent, columns.release == release, columns.stage == stage)
            .where(columns.at >= moment(since), columns.rating.is_not(None))
            .order_by(columns.at, columns.id)
        )
        with self._database.read() as connection:
            return [Word(*row) for row in connection.execute(query)]


def _session_run(columns: Sequence[Any]) -> SessionRun:
    """The run of a row; tool calls and the route's reason stand in its summary alone."""
    *known, document = columns
    summary = orjson.loads(document)
    usage = summary.get("usage") or {}
    fields: list[Any] = [*known, summary.get("routedBy"), usage.get("toolCalls"), usage.get("toolFailures")]
    return SessionRun(*fields)
