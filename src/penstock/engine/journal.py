"""Journal: the calls of a run, keyed by (scope, digest of the canonical request, n-th occurrence).

What went through the two doors, and an answer that came from the cache.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from penstock.errors import Fault, Invalid

JOURNAL_SCHEMA = "penstock.dev/journal/v1"
MAIN_SCOPE = "main"
Door = Literal["model", "tool", "cache"]
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One call: its request in canonical form, and what came back. `n` counts equal requests from 1."""

    door: Door
    scope: str
    digest: str
    n: int
    request: Any
    response: dict[str, Any]

    @property
    def key(self) -> Key:
        """What a replay looks up."""
        return (self.scope, self.digest, self.n)

    def as_document(self) -> dict[str, Any]:
        """The entry as a JSON object."""
        return {
            "door": self.door,
            "scope": self.scope,
            "digest": self.digest,
            "n": self.n,
            "request": self.request,
            "response": self.response,
        }


@dataclass(slots=True)
class Journal:
    """The calls of one run; `header` is what a recording says of itself (case, release, input, fixtures, runtime)."""

    header: dict[str, Any] = field(default_factory=dict)
    _entries: dict[Key, JournalEntry] = field(default_factory=dict)

    @property
    def entries(self) -> list[JournalEntry]:
        """All entries in the order in which their calls ended."""
        return list(self._entries.values())

    def add(self, entry: JournalEntry) -> None:
        """Keeps an entry; the first of a key stays."""
        self._entries.setdefault(entry.key, entry)

    def find(self, scope: str, digest: str, n: int) -> JournalEntry | None:
        """The entry of that key."""
        return self._entries.get((scope, digest, n))

    def to_jsonl(self) -> bytes:
        """The header and one line an entry, with sorted keys: equal journals give equal bytes.

        Entries of calls that were in flight together are put in the order of their keys within a door's turn, since
        the order in which they ended is chance.
        """
        lines = [{"schema": JOURNAL_SCHEMA, **self.header}, *(entry.as_document() for entry in self._settled())]
        return b"".join(orjson.dumps(line, option=orjson.OPT_SORT_KEYS) + b"\n" for line in lines)

    def _settled(self) -> list[JournalEntry]:
        settled: list[JournalEntry] = []
        turn: list[JournalEntry] = []
        for entry in self._entries.values():
            if entry.door == "tool":
                turn.append(entry)
                continue
            settled += [*sorted(turn, key=lambda call: call.key), entry]
            turn = []
        return settled + sorted(turn, key=lambda call: call.key)

    @classmethod
    def from_jsonl(cls, data: bytes, *, path: str = "journal") -> "Journal":
        """Reads what `to_jsonl` wrote; raises `Invalid` with the faults of every line."""
        faults: list[Fault] = []
        journal = cls()
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                journal._read(orjson.loads(line), first=number == 1)
            except (ValueError, KeyError, TypeError) as error:
                faults.append(Fault(path, number, 1, "", f"no line of a journal: {error}"))
        if not journal.header and not faults:
            faults.append(Fault(path, 0, 0, "", "is empty"))
        if faults:
            raise Invalid("the journal cannot be read", where=path, now="record it again", faults=faults)
        return journal

    @classmethod
    def from_entries(cls, documents: Iterable[Mapping[str, Any]], header: dict[str, Any] | None = None) -> "Journal":
        """The journal of a stored run, from its payloads of role `journal`.

        A call that a later attempt of the run made again counts as it ended last.
        """
        journal = cls(header or {})
        for document in documents:
            entry = _entry(document)
            journal._entries[entry.key] = entry
        return journal

    def _read(self, document: Any, *, first: bool) -> None:
        if not isinstance(document, dict):
            raise TypeError("not a JSON object")
        if not first:
            self.add(_entry(document))
            return
        if document.get("schema") != JOURNAL_SCHEMA:
            raise ValueError(f"schema is {document.get('schema')!r}, not {JOURNAL_SCHEMA!r}")
        self.header = document


class Occurrences:
    """Counts equal requests within a run, scope by scope."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()

    def next(self, scope: str, digest: str) -> int:
        """1 for the first request of that digest in that scope, 2 for the second, ..."""
        self._seen[scope, digest] += 1
        return self._seen[scope, digest]


def _entry(document: Mapping[str, Any]) -> JournalEntry:
    if document["door"] not in ("model", "tool", "cache"):
        raise ValueError(f"no door {document['door']!r}")
    return JournalEntry(
        document["door"],
        document["scope"],
        document["digest"],
        int(document["n"]),
        document["request"],
        dict(document["response"]),
    )
