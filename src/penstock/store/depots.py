"""Depots: what is kept of runs outside of the database, opened when it is first asked for."""

from functools import cached_property

from penstock.settings import Settings
from penstock.store.archive import Archive
from penstock.store.database import Database, open_database
from penstock.store.payload_objects import PayloadObjects


class Depots:
    """The payload store and the archive at these URLs or folders."""

    def __init__(self, payloads_url: str, archive_url: str) -> None:
        self._payloads_url = payloads_url
        self._archive_url = archive_url

    @cached_property
    def payloads(self) -> PayloadObjects:
        """The payload store; raises `Unavailable` when the library for it is not installed."""
        return PayloadObjects(self._payloads_url)

    @cached_property
    def archive(self) -> Archive:
        """The archive; raises `Unavailable` when the library for it is not installed."""
        return Archive(self._archive_url)


def open_project_database(settings: Settings) -> Database:
    """The project's database, which then finds large payloads and archived runs; raises as `open_database`."""
    database = open_database(settings.database)
    database.depots = Depots(settings.payloads, settings.archive)
    return database
