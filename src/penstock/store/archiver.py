"""Puts runs into the archive: objects first, read back, then a mark in the database; what is marked may be deleted.

It may be killed anywhere. What was written without a mark is written again with the same name or in its own place;
two that work at once write a run twice, which a reader puts together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import Connection, and_, exists, func, select, tuple_, update
from sqlalchemy.sql.elements import ColumnElement

from penstock.store import tables
from penstock.store.archive import Archive
from penstock.store.archive_format import ArchivedRun
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.feedback import FeedbackStore
from penstock.store.payload_objects import PayloadLost
from penstock.store.payloads import PayloadRows
from penstock.store.run_day import day_of, first_id
from penstock.store.run_scores import RunScoreStore
from penstock.store.tables_queue import queued_runs

BATCH_RUNS = 200
FINAL = ("finished", "failed", "cancelled", "timed_out", "rejected")
_NO_AGENT = "unknown"


@dataclass(frozen=True, slots=True)
class ArchiveReport:
    """What was archived. `problems` names runs that could not be: they stay in the database."""

    runs: int = 0
    objects: int = 0
    size_bytes: int = 0
    problems: tuple[str, ...] = ()

    def as_document(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "runs": self.runs,
            "objects": self.objects,
            "bytes": self.size_bytes,
            "problems": list(self.problems),
        }


@dataclass(slots=True)
class _Tally:
    runs: int = 0
    objects: int = 0
    size_bytes: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunHead:
    """What says where a run goes in the archive."""

    run_id: str
    agent: str
    started_at: str


class Archiver:
    """Archives what a database holds. Raises `Unavailable` when the database or the archive fails."""

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive
        self._payloads = PayloadRows(database)
        self._tally = _Tally()

    def run(self, until: str, *, keep_on: Callable[[], bool] = lambda: True) -> ArchiveReport:
        """Archives the runs that ended and started before `until` (RFC 3339), of whole days only.

        `keep_on` is asked before each batch; when it says no, the rest is left to the next time.
        """
        self._tally = _Tally()
        self._archive.begin()
        self._know_days()
        limit = min(until, f"{now()[:10]}T00:00:00.000000Z")
        after = ("", "")
        while keep_on() and (batch := self._due(limit, after)):
            self.put(batch)
            after = (batch[-1].started_at, batch[-1].run_id)
        tally = self._tally
        return ArchiveReport(tally.runs, tally.objects, tally.size_bytes, tuple(tally.problems))

    def put(self, heads: Iterable[RunHead]) -> list[str]:
        """Archives these runs; returns the ids of those that are in the archive then."""
        done: list[str] = []

        def place(head: RunHead) -> tuple[str, str]:
            return day_of(head.run_id), head.agent

        for (day, agent), group in groupby(sorted(heads, key=lambda one: (*place(one), one.run_id)), place):
            done += self._put_group(day, agent, [head.run_id for head in group])
        return done

    def _put_group(self, day: str, agent: str, run_ids: Sequence[str]) -> list[str]:
        contents: dict[str, str | None] = {}
        for run_id in run_ids:
            try:
                contents[run_id] = self._put_contents(run_id)
            except PayloadLost as problem:  # the others need not wait for it
                self._tally.problems.append(f"run {run_id}: {problem.what} ({problem.where})")
        if not contents:
            return []
        facts = [self._facts(run_id) for run_id in contents]
        index = self._archive.put_facts(agent, facts, contents)
        self._mark(day, {one.run_id: len(one.events) for one in facts})
        self._tally.runs += len(contents)
        self._tally.objects += 1
        self._tally.size_bytes += index.size_bytes
        return list(contents)

    def _put_contents(self, run_id: str) -> str | None:
        """The digest of the run's contents in the archive; None if it has none, as those that were deleted."""
        if self._payloads.is_deleted(run_id):
            self._archive.erase(run_id)  # a try that died may have left them
            return None
        found = [*self._content_lines(run_id)]
        return self._archive.put_contents(run_id, found) if found else None

    def _content_lines(self, run_id: str) -> Iterable[dict[str, Any]]:
        for payload in self._payloads.of_run(run_id):
            yield {"ref": payload.ref, "role": payload.role, "body": payload.body}
        for word in FeedbackStore(self._database).of_run(run_id):
            yield {"feedback": word}
        for score in RunScoreStore(self._database).of_run(run_id):
            yield {"score": {"scorer": score.scorer, "identity": score.identity, **score.document}}

    def _facts(self, run_id: str) -> ArchivedRun:
        events, intents, runs = tables.events.c, tables.intents.c, tables.runs.c
        of_events = select(events.document).where(events.run_id == run_id).order_by(events.attempt, events.seq)
        of_intents = select(intents.document).where(intents.run_id == run_id).order_by(intents.call_id)
        with self._database.read() as connection:
            text = connection.scalar(select(runs.document).where(runs.run_id == run_id))
            found = _documents(connection, of_events), _documents(connection, of_intents)
        said = [{"at": word["at"], "rating": word["rating"]} for word in FeedbackStore(self._database).of_run(run_id)]
        scores = {score.scorer: score.value for score in RunScoreStore(self._database).of_run(run_id)}
        facts = {name: value for name, value in (("feedback", said), ("scores", scores)) if value}
        run = orjson.loads(text) if text is not None else None
        return ArchivedRun(run_id, run, events=found[0], intents=found[1], facts=facts)

    def _mark(self, day: str, written: Mapping[str, int]) -> None:
        """Says in the database that the runs are archived, and renews deletion requests that came meanwhile.

        `written` counts the events of each; one that got more since is left to the next time.
        """
        at, deletions, events = now(), tables.payload_deletions, tables.events.c
        stored = select(events.run_id, func.count()).where(events.run_id.in_(written)).group_by(events.run_id)
        with self._database.write() as connection:
            self._know_day(connection, day)
            grown = {run_id for run_id, count in connection.execute(stored) if count != written[run_id]}
            whole = tables.runs.c.run_id.in_(written.keys() - grown)
            connection.execute(update(tables.runs).where(whole).values(archived_at=at))
            renewed = update(deletions).where(deletions.c.run_id.in_(written))
            connection.execute(renewed.values(at=at, erased_at=None))

    def _due(self, limit: str, after: tuple[str, str]) -> list[RunHead]:
        columns = tables.runs.c
        query = (
            select(columns.run_id, columns.agent, columns.started_at)
            .where(columns.archived_at.is_(None), columns.started_at < limit, columns.status.in_(FINAL))
            .where(tuple_(columns.started_at, columns.run_id) > after)
            .order_by(columns.started_at, columns.run_id)
            .limit(BATCH_RUNS)
        )
        with self._database.read() as connection:
            return [RunHead(*row) for row in connection.execute(query)]

    def _know_days(self) -> None:
        """Takes in the days that the archive has: the database may be a new one."""
        with self._database.read() as connection:
            known = set(connection.scalars(select(tables.archive_days.c.day)))
        missing = [day for day in self._archive.days("runs") if day not in known]
        if missing:
            with self._database.write() as connection:
                for day in missing:
                    self._know_day(connection, day)

    def _know_day(self, connection: Connection, day: str) -> None:
        connection.execute(self._database.insert(tables.archive_days).on_conflict_do_nothing(), {"day": day})


def dead_runs(database: Database, until: str) -> list[RunHead]:
    """At most a batch of runs from before `until` (RFC 3339) that have events and no end: their process died."""
    events = tables.events.c
    ids = select(events.run_id).distinct().where(is_of_dead_run(until)).order_by(events.run_id).limit(BATCH_RUNS)
    heads: dict[str, RunHead] = {}
    with database.read() as connection:
        found = connection.scalars(ids).all()
        of_them = select(events.run_id, events.document).where(events.run_id.in_(found))
        for row in connection.execute(of_them.order_by(events.run_id, events.attempt, events.seq)):
            if row.run_id not in heads:
                first = orjson.loads(row.document)
                heads[row.run_id] = RunHead(row.run_id, first.get("agent") or _NO_AGENT, first["time"])
    return list(heads.values())


def is_of_dead_run(until: str) -> ColumnElement[bool]:
    """Of rows of events: those of runs from before then that have no end, and wait in no queue for another executor."""
    run_id = tables.events.c.run_id
    ended, queued = exists().where(tables.runs.c.run_id == run_id), exists().where(queued_runs.c.run_id == run_id)
    return and_(run_id < first_id(until), ~ended, ~queued)


def _documents(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [orjson.loads(text) for text in connection.scalars(query)]
