"""Housekeeping: once a day one of all executors archives the days that are over, and deletes what is too old."""

import logging
import threading
import uuid
from collections.abc import Callable

from penstock.contracts.retention import RetentionRules
from penstock.errors import PenstockError
from penstock.executor.database_link import DatabaseLink
from penstock.store.archiver import Archiver
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.duty import Duty
from penstock.store.purge import Purge
from penstock.store.retention import Cutoffs

LOG = logging.getLogger("penstock.executor")
NAME = "housekeeping"
LOOK_S = 60.0
LEASE_S = 600.0
EVERY_S = 86_400.0
FIRST_AFTER_S = 3_600.0
AFTER_FAULT_S = 900.0
CLOSE_S = 5.0


class Housekeeping:
    """Looks every minute whether it is due, in a thread of its own; `rules` gives the retention in force.

    What fails is tried again a quarter of an hour later, by whoever comes first.
    """

    def __init__(self, link: DatabaseLink, rules: Callable[[], RetentionRules]) -> None:
        self._link = link
        self._rules = rules
        self._holder = str(uuid.uuid4())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="penstock-housekeeping", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def close(self) -> None:
        """Ends after the batch at hand; waits 5 s for it, and what is left is done by another."""
        self._stop.set()
        self._thread.join(CLOSE_S)

    def look(self) -> bool:
        """Does the work if it is due; whether it was. Raises `PenstockError` when it failed."""
        duty = Duty(self._link.database, NAME, self._holder)
        if not duty.take(LEASE_S, FIRST_AFTER_S):
            return False
        due_in_s = AFTER_FAULT_S
        try:
            is_done = self._tidy(self._link.database, lambda: not self._stop.is_set() and duty.renew(LEASE_S))
            due_in_s = EVERY_S if is_done else 0.0
        finally:
            duty.leave(due_in_s)
        return True

    def _tidy(self, database: Database, keep_on: Callable[[], bool]) -> bool:
        """Whether it came to the end."""
        assert database.depots is not None
        rules = self._rules()
        problems: tuple[str, ...] = ()
        if rules.archive:
            report = Archiver(database, database.depots.archive).run(now(), keep_on=keep_on)
            problems = report.problems
            LOG.info("archived %d runs in %d objects", report.runs, report.objects)
        figures = Purge(database, Cutoffs.of(rules), keep_on).run()
        LOG.info("purged: %s", figures.as_document())
        for problem in problems:
            LOG.error("not archived: %s", problem)
        return keep_on()

    def _look_on(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look()
            except PenstockError as problem:
                LOG.warning("housekeeping has to wait: %s", problem)
            except Exception:  # a thread that dies here would let everything grow without a word
                LOG.exception("housekeeping failed")
