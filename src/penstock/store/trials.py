"""Trials and scores of evaluations: what was measured is not measured again, and a run that was killed goes on.

Rows are (key, release, at, document) of trials and (key, at, document) of scores; `at` is RFC 3339 with microseconds.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from sqlalchemy import Table, delete, select

from penstock.store import tables
from penstock.store.database import Database

TrialRow = tuple[str, str, str, dict[str, Any]]
ScoreRow = tuple[str, str, dict[str, Any]]
_AT_ONCE = 500
_ANY_TIME = ""


class Trials(Protocol):
    """Where trials and scores are kept."""

    def find(self, keys: Sequence[str], since: str) -> dict[str, dict[str, Any]]:
        """Key -> trial, of those made at or after `since` (RFC 3339)."""
        ...

    def put(self, rows: Sequence[TrialRow]) -> None:
        """Keeps trials, all or none; a newer one takes an older one's place."""
        ...

    def find_scores(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Key -> score, whatever its age: a score's key says everything that it depends on."""
        ...

    def put_scores(self, rows: Sequence[ScoreRow]) -> None:
        """Keeps scores, all or none."""
        ...


class TrialStore:
    """In the database; every call is one transaction. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, keys: Sequence[str], since: str) -> dict[str, dict[str, Any]]:
        """Key -> trial, of those made at or after `since` (RFC 3339)."""
        return self._find(tables.trials, keys, since)

    def put(self, rows: Sequence[TrialRow]) -> None:
        """Keeps trials, all or none; a newer one takes an older one's place."""
        names = ("key", "release", "at", "document")
        self._put(tables.trials, [dict(zip(names, (*row[:3], _text(row[3])), strict=True)) for row in rows])

    def find_scores(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Key -> score, whatever its age."""
        return self._find(tables.scores, keys, _ANY_TIME)

    def put_scores(self, rows: Sequence[ScoreRow]) -> None:
        """Keeps scores, all or none."""
        self._put(tables.scores, [{"key": row[0], "at": row[1], "document": _text(row[2])} for row in rows])

    def prune(self, before: str) -> int:
        """Deletes trials and scores made before that time (RFC 3339); returns how many there were."""
        with self._database.write() as connection:
            return sum(
                connection.execute(delete(table).where(table.c.at < before)).rowcount
                for table in (tables.trials, tables.scores)
            )

    def _find(self, table: Table, keys: Sequence[str], since: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        with self._database.read() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                query = select(table.c.key, table.c.document).where(table.c.key.in_(some), table.c.at >= since)
                found.update((row.key, orjson.loads(row.document)) for row in connection.execute(query))
        return found

    def _put(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        insert: Any = self._database.insert(table)
        newer = {name: insert.excluded[name] for name in rows[0] if name != "key"}
        statement = insert.on_conflict_do_update(
            index_elements=["key"], set_=newer, where=table.c.at <= insert.excluded.at
        )
        rows.sort(key=lambda row: str(row["key"]))  # two processes that write the same keys never wait in a circle
        with self._database.write() as connection:
            connection.execute(statement, rows)


class MemoryTrials:
    """Keeps everything in this process, for benchmarks and tests."""

    def __init__(self) -> None:
        self.trials: dict[str, tuple[str, dict[str, Any]]] = {}
        self.scores: dict[str, dict[str, Any]] = {}

    def find(self, keys: Sequence[str], since: str) -> dict[str, dict[str, Any]]:
        """Key -> trial, of those made at or after `since`."""
        held = ((key, self.trials.get(key)) for key in keys)
        return {key: trial[1] for key, trial in held if trial is not None and trial[0] >= since}

    def put(self, rows: Sequence[TrialRow]) -> None:
        """Keeps trials."""
        self.trials.update((key, (at, document)) for key, _, at, document in rows)

    def find_scores(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Key -> score."""
        return {key: self.scores[key] for key in keys if key in self.scores}

    def put_scores(self, rows: Sequence[ScoreRow]) -> None:
        """Keeps scores."""
        self.scores.update((key, document) for key, _, document in rows)

    def prune(self, before: str) -> int:
        """Forgets trials made before that time; returns how many there were."""
        old = [key for key, (at, _) in self.trials.items() if at < before]
        for key in old:
            del self.trials[key]
        return len(old)


def _text(document: dict[str, Any]) -> str:
    return orjson.dumps(document).decode()
