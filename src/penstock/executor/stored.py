"""Stored runs for the command line: the database with everything that dead executors left in the spool."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from penstock.engine.assembly import assemble
from penstock.engine.engine import Engine
from penstock.engine.sink import NoSink
from penstock.executor.declarations import read_declarations
from penstock.routing.release_cache import ReleaseCache
from penstock.settings import Settings
from penstock.store.database import open_database
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore
from penstock.store.runs import RunStore
from penstock.store.spool_drain import SpoolDrain


@contextlib.contextmanager
def open_runs(settings: Settings) -> Iterator[RunStore]:
    """The stored runs; raises `Unavailable` when the database fails."""
    database = open_database(settings.database)
    try:
        SpoolDrain(settings.spool, database, threaded=False).drain_once()
        yield RunStore(database)
    finally:
        database.close()


@contextlib.asynccontextmanager
async def replaying(settings: Settings) -> AsyncIterator[tuple[Engine, ReleaseCache]]:
    """An engine that keeps nothing, and the releases that it can replay."""
    releases = ReleaseCache(settings.cache, ReleaseStore(open_objects(settings.releases)))
    parts = assemble(settings, read_declarations(settings.root), releases.blob, sink=NoSink())
    try:
        yield parts.engine, releases
    finally:
        await parts.close()
