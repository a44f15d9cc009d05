"""JSON paths (RFC 9535) in files that many teams write: nothing in them may run away.

They are bounded in length, in descents and in what they may select, and have no functions that match patterns.
"""

import functools
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from jsonpath import JSONPathEnvironment, JSONPathError, JSONPathMatch
from jsonpath.path import JSONPath

PATH_LENGTH = 500
DESCENTS = 2
SELECTED = 10_000


class TooManySelected(ValueError):
    """A path selects more values than may be judged."""


def path_fault(path: str) -> str | None:
    """What is wrong with a path, in one sentence; None if it is one."""
    try:
        _compiled(path)
    except JSONPathError as error:
        return f"path {path!r} is no JSON path: {str(error).splitlines()[0]}"
    return None


def is_singular(path: str) -> bool:
    """Whether the path can select at most one value (RFC 9535, 2.3.5.1); the path is a right one."""
    return _compiled(path).singular_query()


def selected_values(path: str, value: Any) -> list[Any]:
    """What a right path selects, in document order; raises `TooManySelected`."""
    if path == "$":
        return [value]
    found = [match.obj for match in islice(_matches(path, value), SELECTED + 1)]
    if len(found) > SELECTED:
        raise TooManySelected(f"{path} selects more than {SELECTED} values")
    return [value] * len(found) if isinstance(value, str) else found


def selected_places(path: str, value: Any) -> Iterator[tuple[str | int, ...]]:
    """The keys and positions from the root of what a right path selects, in document order."""
    return (tuple(match.parts) for match in _matches(path, value))


def _matches(path: str, value: Any) -> Iterable[JSONPathMatch]:
    """A text is one value with nothing inside: the library would read it as JSON, so another such value stands in."""
    return _compiled(path).finditer(None if isinstance(value, str) else value)


@functools.cache
def _environment() -> JSONPathEnvironment:
    environment = JSONPathEnvironment(strict=True)
    for backtracking in ("match", "search"):
        environment.function_extensions.pop(backtracking, None)
    return environment


@functools.lru_cache(maxsize=1_000)
def _compiled(path: str) -> JSONPath:
    if len(path) > PATH_LENGTH or path.count("..") > DESCENTS:
        raise JSONPathError(f"longer than {PATH_LENGTH} characters or more than {DESCENTS} descents (..)")
    compiled = _environment().compile(path)
    assert isinstance(compiled, JSONPath)
    return compiled
