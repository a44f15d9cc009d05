"""The archive: old runs as objects, by day and agent. It is complete without the database.

Below `runs/<day>/<agent>/` stand the facts of many runs an object, each with an index beside it; below
`payloads/<day>/` the contents of each run, so that they can be deleted for one of them. The day is the one in the
run's id: a run is found by one listing of its day, and an object's name says which ids can be in it.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from penstock.errors import Unavailable
from penstock.store.archive_format import (
    INDEX,
    SCHEMA,
    ArchivedRun,
    ArchiveIndex,
    batch_stem,
    damaged,
    digest_of,
    lines,
    may_hold,
    read_facts,
    together,
    write_contents,
    write_facts,
)
from penstock.store.objects import RemovableStore, StoreUse, open_removable
from penstock.store.run_day import day_of, days_below

ARCHIVE = StoreUse("archive", "check PENSTOCK_ARCHIVE_URL; the first `agentctl archive run` makes it", file_mode=0o600)
FACTS, CONTENTS = "runs", "payloads"
REMEMBERED = 16
_MARK = "archive.json"
_GONE = ".deleted"


class Archive:
    """The objects below a folder or object store. Everything raises `Unavailable` when that fails."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store: RemovableStore = open_removable(url, ARCHIVE)
        self._recent: OrderedDict[str, ArchivedRun] = OrderedDict()

    def begin(self) -> None:
        """Makes the archive, if it is not there."""
        self._store.create(_MARK, orjson.dumps({"schema": SCHEMA}))

    def put_contents(self, run_id: str, found: Sequence[dict[str, Any]]) -> str:
        """Keeps a run's contents together with those that are there; returns their digest, read back."""
        name, data = _contents_name(run_id), write_contents(found)
        if not self._store.create(name, data):
            data = write_contents(together(self.contents(run_id), found))
            self._store.replace_hint(name, data)
        return self._written(name, data)

    def put_facts(self, agent: str, runs: Sequence[ArchivedRun], contents: Mapping[str, str | None]) -> ArchiveIndex:
        """Keeps the facts of runs of one day and agent with an index; both are read back before this returns."""
        data = write_facts(runs)
        ids = [one.run_id for one in runs]
        stem = f"{FACTS}/{day_of(ids[0])}/{agent}/{batch_stem(ids, data)}"
        index = ArchiveIndex(f"{stem}{INDEX}", digest_of(data), len(data), dict(contents))
        for name, written in ((index.object, data), (index.name, index.written())):
            self._store.create(name, written)
            self._written(name, written)
        return index

    def find(self, run_id: str) -> ArchivedRun | None:
        """The facts of a run; None if it is not archived."""
        if run_id in self._recent:
            return self._recent[run_id]
        found: ArchivedRun | None = None
        for index in self.indexes(day_of(run_id), run_id):
            if run_id in index.contents:
                read = read_facts(index.object, self.facts(index), run_id)
                found = read if found is None else found.joined(read)
        if found is not None:
            self._recent[run_id] = found
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return found

    def contents(self, run_id: str) -> list[dict[str, Any]]:
        """A run's payloads (`role`, `ref`, `body`), and what was said about them; empty once they are deleted."""
        name = _contents_name(run_id)
        data = self._store.get(name)
        return lines(name, data) if data is not None else []

    def contents_digest(self, run_id: str) -> str | None:
        """The digest of a run's contents as they stand there; None where they are deleted or gone."""
        data = self._store.get(_contents_name(run_id))
        return digest_of(data) if data is not None else None

    def is_erased(self, run_id: str) -> bool:
        """Whether a run's contents were deleted by request."""
        return self._store.get(_contents_name(run_id, _GONE)) is not None

    def erase(self, run_id: str) -> None:
        """Deletes a run's contents for good, and says so in their place; the facts stay."""
        self._store.create(_contents_name(run_id, _GONE), b"{}")
        self._store.delete([_contents_name(run_id)])

    def indexes(self, day: str, run_id: str | None = None) -> Iterator[ArchiveIndex]:
        """The indexes of a day (`2026/11/20`), those only that can name a run if one is given."""
        for name in self._store.list(f"{FACTS}/{day}/"):
            if name.endswith(INDEX) and (run_id is None or may_hold(name, run_id)):
                data = self._store.get(name)
                if data is not None:  # else its day has just gone
                    yield ArchiveIndex.read(name, data)

    def facts(self, index: ArchiveIndex) -> bytes:
        """The object of an index; raises `Unavailable` where it is not the one that was written."""
        data = self._store.get(index.object)
        if data is None or digest_of(data) != index.digest:
            raise damaged(f"{self.url}/{index.object}")
        return data

    def days(self, kind: str) -> list[str]:
        """The days of which there are objects of that kind (`runs`, `payloads`), oldest first."""
        return days_below(self._store, kind)

    def count_day(self, kind: str, day: str) -> int:
        """How many objects of that kind a day has."""
        return len(self._store.list(f"{kind}/{day}/"))

    def delete_day(self, kind: str, day: str) -> int:
        """Deletes everything of a day; returns how many objects that was."""
        names = self._store.list(f"{kind}/{day}/")
        self._store.delete(names)
        self._recent.clear()
        return len(names)

    def _written(self, name: str, data: bytes) -> str:
        """The digest of what was just written, as the store gives it back; raises `Unavailable` if it differs."""
        if self._store.get(name) != data:
            now = "nothing was deleted; check the archive's store"
            raise Unavailable("what was archived is read back otherwise", where=f"{self.url}/{name}", now=now)
        return digest_of(data)


def _contents_name(run_id: str, ending: str = ".jsonl.gz") -> str:
    return f"{CONTENTS}/{day_of(run_id)}/{run_id}{ending}"
