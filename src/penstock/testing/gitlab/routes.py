"""The table of routes: one function a method and path, found by name of its path's parts."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from penstock.testing.gitlab.ask import Answer, Ask

Route = Callable[[Ask], Answer]


@dataclass(frozen=True)
class Entry:
    """A route: `level` is the least access to the project (0: none is asked for), `job` whether a job's token may.

    `takes` names the parameters that it heeds; pages are heeded by every list.
    """

    method: str
    path: str
    pattern: re.Pattern[str]
    work: Route
    level: int
    job: bool
    takes: frozenset[str]


_ENTRIES: list[Entry] = []
_PAGES = frozenset({"page", "per_page"})


def route(method: str, path: str, *, level: int = 0, job: bool = False, takes: str = "") -> Callable[[Route], Route]:
    """Registers a function for `path`, whose `:name` parts match one encoded segment each; `takes` is names."""
    pattern = re.compile(re.sub(r":([a-z_]+)", r"(?P<\1>[^/]+)", path))

    def register(work: Route) -> Route:
        _ENTRIES.append(Entry(method, path, pattern, work, level, job, frozenset(takes.split()) | _PAGES))
        return work

    return register


def find(method: str, path: str) -> tuple[Entry | None, dict[str, str], bool]:
    """The route of a request and the decoded parts of its path; the flag says whether another method has that path."""
    known = False
    for entry in _ENTRIES:
        match = entry.pattern.fullmatch(path)
        if match is None:
            continue
        if entry.method == method:
            return entry, {name: unquote(value) for name, value in match.groupdict().items()}, True
        known = True
    return None, {}, known


def entries() -> tuple[Entry, ...]:
    """Every route, for whoever asks what the fake knows."""
    return tuple(_ENTRIES)


def body_of(value: Any, status: int = 200) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, value)
