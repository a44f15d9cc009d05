"""Deletes what is older than its retention: after it is archived where that is asked for, in small transactions.

It may be killed anywhere and goes on where it was: rows go before the objects that they claim, facts and contents are
in the archive before their rows go, and nothing remembers how far it came but what is left.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, select

from penstock.store import tables
from penstock.store.archive import CONTENTS, FACTS
from penstock.store.archiver import Archiver, dead_runs
from penstock.store.database import Database
from penstock.store.depots import Depots
from penstock.store.erasure import erase, open_erasures
from penstock.store.payload_objects import RUNS, UPLOADS, owner_of
from penstock.store.payloads import expire
from penstock.store.retention import (
    Cutoffs,
    RetentionFigures,
    ended_before,
    old_archive_days,
    old_days,
    old_messages,
    runs_with_contents,
)

BATCH = 200
_OF_RUNS = (tables.events, tables.intents, tables.payloads, tables.run_scores, tables.feedback, tables.runs)


class Purge:
    """One purge of a project's database, payload store and archive. Raises `Unavailable` when one of them fails.

    `keep_on` is asked before each batch; when it says no, the rest is left to the next purge.
    """

    def __init__(self, database: Database, cutoffs: Cutoffs, keep_on: Callable[[], bool] = lambda: True) -> None:
        assert database.depots is not None, "a purge is of a project's database"
        self._database = database
        self._depots: Depots = database.depots
        self._cutoffs = cutoffs
        self._keep_on = keep_on
        self.figures = RetentionFigures()
        self.problems: list[str] = []

    def run(self) -> RetentionFigures:
        """Does all of it; `problems` then names what could not be."""
        for step in (
            self._erase,
            self._archive,
            self._expire_payloads,
            self._delete_runs,
            self._delete_dead_runs,
            self._delete_messages,
            self._sweep_payload_objects,
            self._sweep_uploads,
            self._sweep_archive,
        ):
            if self._keep_on():
                step()
        return self.figures

    def _erase(self) -> None:
        for run_id in open_erasures(self._database):
            erase(self._database, run_id)
            self.figures.erasures += 1

    def _archive(self) -> None:
        if not self._cutoffs.archive:
            return
        archiver = Archiver(self._database, self._depots.archive)
        report = archiver.run(max(self._cutoffs.runs, self._cutoffs.payloads), keep_on=self._keep_on)
        self.figures.runs_to_archive = report.runs
        self.problems += report.problems

    def _expire_payloads(self) -> None:
        def remove(connection: Connection, ids: Sequence[str]) -> None:
            for run_id in ids:
                expire(connection, run_id)

        query = self._archived(runs_with_contents(self._cutoffs.payloads)).limit(BATCH)
        self.figures.payload_runs = self._each_batch(query, remove)

    def _delete_runs(self) -> None:
        query = self._archived(select(tables.runs.c.run_id).where(ended_before(self._cutoffs.runs))).limit(BATCH)
        self.figures.runs = self._each_batch(query, _delete)

    def _delete_dead_runs(self) -> None:
        archiver = Archiver(self._database, self._depots.archive)
        while self._keep_on() and (heads := dead_runs(self._database, self._cutoffs.runs)):
            ids = archiver.put(heads) if self._cutoffs.archive else [head.run_id for head in heads]
            if not ids:
                return  # what keeps them from being archived is among the problems of the others
            with self._database.write() as connection:
                _delete(connection, ids)
            self.figures.dead_runs += len(ids)

    def _delete_messages(self) -> None:
        messages, sessions = tables.session_messages, tables.sessions

        def remove(connection: Connection, ids: Sequence[Any]) -> None:
            connection.execute(delete(messages).where(messages.c.id.in_(ids)))

        self.figures.session_messages = self._each_batch(old_messages(self._cutoffs.sessions).limit(BATCH), remove)
        same = (messages.c.tenant == sessions.c.tenant) & (messages.c.agent == sessions.c.agent)
        spoken = exists().where(same, messages.c.session == sessions.c.session)
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.pinned_at < self._cutoffs.sessions, ~spoken))

    def _sweep_payload_objects(self) -> None:
        """Objects of old days that no row claims: their rows are gone, or never came to be."""
        payloads = self._depots.payloads
        for day in old_days(self._depots, RUNS, self._cutoffs):
            names = payloads.of_day(RUNS, day)
            for start in range(0, len(names), BATCH):
                if not self._keep_on():
                    return
                batch = names[start : start + BATCH]
                claimed = self._with_claims({owner_of(name) for name in batch})
                loose = [name for name in batch if owner_of(name) not in claimed]
                payloads.delete(loose)
                self.figures.payload_objects += len(loose)

    def _with_claims(self, run_ids: set[str]) -> set[str]:
        columns = tables.payloads.c
        query = select(columns.run_id).distinct().where(columns.run_id.in_(run_ids), columns.claim.is_not(None))
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def _sweep_uploads(self) -> None:
        for day in old_days(self._depots, UPLOADS, self._cutoffs):
            names = self._depots.payloads.of_day(UPLOADS, day)
            self._depots.payloads.delete(names)
            self.figures.uploads += len(names)

    def _sweep_archive(self) -> None:
        archive = self._depots.archive
        for day in old_archive_days(self._depots, CONTENTS, self._cutoffs.archived_payloads):
            self.figures.archived_payload_objects += archive.delete_day(CONTENTS, day)
        for day in old_archive_days(self._depots, FACTS, self._cutoffs.archived_runs):
            self.figures.archived_objects += archive.delete_day(FACTS, day)
            with self._database.write() as connection:
                connection.execute(delete(tables.archive_days).where(tables.archive_days.c.day == day))

    def _archived(self, query: Select[Any]) -> Select[Any]:
        """Those of the runs only that are in the archive, where nothing may go before it is there."""
        return query.where(tables.runs.c.archived_at.is_not(None)) if self._cutoffs.archive else query

    def _each_batch(self, query: Select[Any], remove: Callable[[Connection, Sequence[Any]], object]) -> int:
        """Removes what the query finds, a transaction a batch, until it finds nothing more; returns how many."""
        count = 0
        while self._keep_on():
            with self._database.write() as connection:
                ids = connection.scalars(query.with_for_update()).all()
                if ids:
                    remove(connection, ids)
            if not ids:
                break
            count += len(ids)
        return count


def _delete(connection: Connection, run_ids: Sequence[str]) -> None:
    for table in _OF_RUNS:
        connection.execute(delete(table).where(table.c.run_id.in_(run_ids)))
