"""What an executor remembers of routing on its own disk: the last table in force, and a lineage that it may take."""

import os
import time
from pathlib import Path

from penstock.errors import Invalid, Unavailable
from penstock.routing.table import RoutingTable
from penstock.store.folder import FolderStore

LAST = "routing/last.json"
ADOPTED = "routing/adopted"


class TableMemory:
    """Below `cache_dir`, the executor's cache."""

    def __init__(self, cache_dir: Path) -> None:
        self._files = FolderStore(str(cache_dir))
        self._last = cache_dir / LAST

    def last(self) -> tuple[RoutingTable, float] | None:
        """The last table in force, and when the store last confirmed it (Unix seconds); None without a sound one."""
        try:
            data = self._files.get(LAST)
            if data is None:
                return None
            return RoutingTable.from_bytes(data, where=str(self._last)), os.stat(self._last).st_mtime
        except (Invalid, Unavailable, OSError):
            return None

    def keep(self, data: bytes) -> None:
        """Remembers the table now in force; raises `Unavailable` when the cache cannot be written."""
        self._files.replace_hint(LAST, data)

    def touch(self) -> None:
        """Notes that the store has just confirmed the table."""
        try:
            os.utime(self._last, (time.time(), time.time()))
        except OSError:
            return  # only the age shown after a restart depends on it

    def adopt(self, lineage: str) -> None:
        """Lets the executors of this cache take tables of that lineage; raises `Unavailable`."""
        self._files.replace_hint(ADOPTED, lineage.encode())

    def adopted(self) -> str | None:
        """The lineage that may be taken."""
        try:
            data = self._files.get(ADOPTED)
        except Unavailable:
            return None
        return data.decode(errors="replace").strip() if data is not None else None
