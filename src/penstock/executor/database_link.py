"""The executor's database: wanted, not needed. While it is away, plain runs go on and everything else says why not."""

import contextlib
import logging
import threading
from collections.abc import Callable

from penstock.errors import Unavailable
from penstock.settings import Settings
from penstock.store.database import Database, WrongSchema
from penstock.store.depots import open_project_database
from penstock.store.drain_process import DrainProcess
from penstock.store.runs import RunStore
from penstock.store.sessions import SessionStore
from penstock.store.spool import Spool
from penstock.store.spool_drain import SpoolDrain
from penstock.store.spool_folder import held_bytes

LOG = logging.getLogger("penstock.executor")
RETRY_S = 2.0


class DatabaseLink:
    """Opens the database now, or as soon as it can be reached, and drains the spool into it from then on.

    `opened` is called then, from any thread, with the sessions of the open database. `apart` = the drain is a process
    of its own.
    """

    def __init__(
        self, settings: Settings, spool: Spool, opened: Callable[[SessionStore], None], *, apart: bool
    ) -> None:
        self._problem: Unavailable | None = None
        self._settings = settings
        self._spool = spool
        self._opened = opened
        self._stop = threading.Event()
        self._retry: threading.Thread | None = None
        self._database: Database | None = None
        self._apart = apart
        self._drain: SpoolDrain | DrainProcess | None = None

    def open(self) -> None:
        """Opens it; when it is away, a thread goes on trying. Raises `WrongSchema` when waiting does not help."""
        self._try()
        if self._database is None:
            LOG.warning("serving without the database: %s", self._problem)
            self._retry = threading.Thread(target=self._keep_trying, name="penstock-database", daemon=True)
            self._retry.start()

    @property
    def problem(self) -> Unavailable | None:
        """Why it could not be opened, or why runs stay in the spool; None when all is well."""
        return self._problem or (self._drain.problem if self._drain is not None else None)

    @property
    def backlog_bytes(self) -> int:
        """What the spool holds and the database does not yet."""
        return self._drain.backlog_bytes if self._drain is not None else held_bytes(self._spool.folder)

    @property
    def database(self) -> Database:
        """The open database; raises `Unavailable` with the reason while there is none."""
        if self._database is None:
            problem = self._problem or Unavailable("the database is not open yet", where=self._settings.database)
            raise Unavailable(problem.what, where=problem.where, now=problem.now)
        return self._database

    @property
    def runs(self) -> RunStore:
        """The stored runs."""
        return RunStore(self.database)

    def close(self) -> None:
        """Brings what the spool still holds into the database, if it can be reached, and closes it."""
        self._stop.set()
        if self._retry is not None:
            self._retry.join()
        if self._drain is not None:
            self._drain.close()
        if self._database is not None:
            self._database.close()

    def _keep_trying(self) -> None:
        while self._database is None and not self._stop.wait(RETRY_S):
            with contextlib.suppress(WrongSchema):  # `problem` says so; an upgrade may come while we wait
                self._try()
        if self._database is not None:
            LOG.warning("the database is back")

    def _try(self) -> None:
        try:
            database = open_project_database(self._settings)
        except Unavailable as problem:
            self._problem = problem
            if isinstance(problem, WrongSchema):
                raise
            return
        self._problem = None
        if self._apart:
            self._drain = DrainProcess(self._settings, self._spool.executor)
        else:
            self._drain = SpoolDrain(self._settings.spool, database, self._spool.executor)
        self._opened(SessionStore(database))
        self._database = database
