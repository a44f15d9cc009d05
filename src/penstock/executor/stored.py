"""Stored runs for the command line: the database with everything that dead executors left in the spool."""

import contextlib
from collections.abc import Iterator

from penstock.settings import Settings
from penstock.store.database import Database
from penstock.store.depots import open_project_database
from penstock.store.runs import RunStore
from penstock.store.spool_drain import SpoolDrain


@contextlib.contextmanager
def open_runs(settings: Settings) -> Iterator[RunStore]:
    """The stored runs; raises `Unavailable` when the database fails."""
    with open_stored(settings) as database:
        yield RunStore(database)


@contextlib.contextmanager
def open_stored(settings: Settings) -> Iterator[Database]:
    """The database itself; raises `Unavailable` when it fails."""
    database = open_project_database(settings)
    try:
        SpoolDrain(settings.spool, database, threaded=False).drain_once()
        yield database
    finally:
        database.close()
