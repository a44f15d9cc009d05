"""Retention: what is too old, counted before anything of it goes (`penstock.store.purge`)."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select
from sqlalchemy.sql.elements import ColumnElement

from penstock.contracts.document import duration_s
from penstock.contracts.retention import RetentionRules
from penstock.store import tables
from penstock.store.archive import CONTENTS, FACTS
from penstock.store.archiver import FINAL, is_of_dead_run
from penstock.store.database import Database
from penstock.store.depots import Depots
from penstock.store.erasure import open_erasures
from penstock.store.objects import StoreMissing
from penstock.store.payload_objects import RUNS, UPLOADS
from penstock.store.run_day import day_at


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """What is from before these moments (RFC 3339) is too old; `archive` = it is archived before it goes."""

    runs: str
    payloads: str
    sessions: str
    uploads: str
    archived_runs: str
    archived_payloads: str
    archive: bool

    @classmethod
    def of(cls, rules: RetentionRules, at: datetime | None = None) -> "Cutoffs":
        """What the rules say at a moment, by default now."""
        end = at or datetime.now(UTC)

        def before(duration: str) -> str:
            return (end - timedelta(seconds=duration_s(duration))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        return cls(
            runs=before(rules.runs),
            payloads=before(rules.payloads),
            sessions=before(rules.sessions),
            uploads=before(rules.uploads),
            archived_runs=before(rules.archived_runs),
            archived_payloads=before(rules.archived_payloads),
            archive=rules.archive,
        )


@dataclass(slots=True)
class RetentionFigures:
    """How much goes, or went: runs by what of them it is, objects, messages."""

    erasures: int = 0
    runs_to_archive: int = 0
    payload_runs: int = 0
    runs: int = 0
    dead_runs: int = 0
    session_messages: int = 0
    payload_objects: int = 0
    uploads: int = 0
    archived_objects: int = 0
    archived_payload_objects: int = 0

    def as_document(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {_camel(one.name): getattr(self, one.name) for one in fields(self)}


def plan_purge(database: Database, cutoffs: Cutoffs) -> RetentionFigures:
    """What a purge would do; nothing is changed. Raises `Unavailable` when database, payload store or archive fails."""
    depots = database.depots
    assert depots is not None, "a purge is of a project's database"
    dead = select(func.count(func.distinct(tables.events.c.run_id))).where(is_of_dead_run(cutoffs.runs))
    with database.read() as connection:
        figures = RetentionFigures(
            payload_runs=_count(connection, runs_with_contents(cutoffs.payloads)),
            runs=_count(connection, select(tables.runs.c.run_id).where(ended_before(cutoffs.runs))),
            dead_runs=connection.scalar(dead) or 0,
            session_messages=_count(connection, old_messages(cutoffs.sessions)),
        )
        if cutoffs.archive:
            unarchived = tables.runs.c.archived_at.is_(None)
            old = select(tables.runs.c.run_id).where(ended_before(max(cutoffs.runs, cutoffs.payloads)), unarchived)
            figures.runs_to_archive = _count(connection, old)
    figures.erasures = len(open_erasures(database))
    figures.payload_objects = sum(len(depots.payloads.of_day(RUNS, day)) for day in old_days(depots, RUNS, cutoffs))
    figures.uploads = sum(len(depots.payloads.of_day(UPLOADS, day)) for day in old_days(depots, UPLOADS, cutoffs))
    figures.archived_objects = sum(
        depots.archive.count_day(FACTS, day) for day in old_archive_days(depots, FACTS, cutoffs.archived_runs)
    )
    figures.archived_payload_objects = sum(
        depots.archive.count_day(CONTENTS, day) for day in old_archive_days(depots, CONTENTS, cutoffs.archived_payloads)
    )
    return figures


def ended_before(moment: str) -> ColumnElement[bool]:
    """Of rows of runs: those that ended and started before then."""
    columns = tables.runs.c
    condition: ColumnElement[bool] = (columns.started_at < moment) & columns.status.in_(FINAL)
    return condition


def runs_with_contents(moment: str) -> Select[tuple[str]]:
    """The ids of ended runs from before then that have payloads in the database."""
    has_payloads = exists().where(tables.payloads.c.run_id == tables.runs.c.run_id)
    return select(tables.runs.c.run_id).where(ended_before(moment), has_payloads)


def old_messages(moment: str) -> Select[tuple[int]]:
    """The ids of messages of sessions that were said before then."""
    return select(tables.session_messages.c.id).where(tables.session_messages.c.at < moment)


def old_days(depots: Depots, kind: str, cutoffs: Cutoffs) -> list[str]:
    """The days of the payload store, of runs or uploads, all of which is too old."""
    limit = day_at(cutoffs.payloads if kind == RUNS else cutoffs.uploads)
    try:
        return [day for day in depots.payloads.days(kind) if day < limit]
    except StoreMissing:  # nothing was ever put there; what rows claim of it is missed by whoever reads it
        return []


def old_archive_days(depots: Depots, kind: str, cutoff: str) -> list[str]:
    """The days of the archive, of facts or contents, all of which is too old."""
    try:
        return [day for day in depots.archive.days(kind) if day < day_at(cutoff)]
    except StoreMissing:
        return []


def _count(connection: Connection, query: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(query.subquery())) or 0


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
