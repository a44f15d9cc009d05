"""Places in a JSON value: selected by an RFC 9535 path of a suite, written as one for people."""

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from penstock.errors import Invalid

if TYPE_CHECKING:  # a suite is checked without the path language
    from jsonpath.path import JSONPath

Place = tuple[str | int, ...]
"""Keys and positions from the root."""

PATH_LENGTH = 500
DESCENTS = 2
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def selected_places(paths: Iterable[str], value: Any) -> frozenset[Place]:
    """The places in `value` that the paths select; raises `Invalid` for what is no JSON path."""
    return frozenset(tuple(match.parts) for path in paths for match in _compiled(path).finditer(value))


def path_fault(path: str) -> str | None:
    """Why the text is no JSON path; None if it is one."""
    try:
        _compiled(path)
    except Invalid as error:
        return error.what
    return None


def written(place: Place) -> str:
    """The place as a JSON path: `$.items[0].title`."""
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else _member(part) for part in place)


def pattern_of(place: Place) -> str:
    """The place with every position as `*`, so that the elements of a list count together."""
    return "$" + "".join("[*]" if isinstance(part, int) else _member(part) for part in place)


def _member(name: str) -> str:
    if _NAME.match(name):
        return f".{name}"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


@functools.lru_cache(maxsize=1_000)
def _compiled(path: str) -> "JSONPath":
    from jsonpath import JSONPathEnvironment, JSONPathError
    from jsonpath.path import JSONPath

    environment = JSONPathEnvironment(strict=True)
    for backtracking in ("match", "search"):  # patterns of many teams, judged in the driver
        environment.function_extensions.pop(backtracking, None)
    try:
        if len(path) > PATH_LENGTH or path.count("..") > DESCENTS:
            raise JSONPathError(f"longer than {PATH_LENGTH} characters or more than {DESCENTS} descents (..)")
        compiled = environment.compile(path)
    except JSONPathError as error:
        what = f"{path!r} is no JSON path: {str(error).splitlines()[0]}"
        raise Invalid(
            what, where="the suite's `diff` rules", now="write an RFC 9535 path, such as $.items[*].id"
        ) from None
    assert isinstance(compiled, JSONPath)  # a union of paths is no RFC 9535
    return compiled
