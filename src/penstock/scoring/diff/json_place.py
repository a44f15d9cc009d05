"""Places in a JSON value: selected by an RFC 9535 path of a suite, written as one for people."""

import re
from collections.abc import Iterable
from typing import Any

from penstock.contracts.json_path import path_fault, selected_places
from penstock.errors import Invalid

Place = tuple[str | int, ...]
"""Keys and positions from the root."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def places_at(paths: Iterable[str], value: Any) -> frozenset[Place]:
    """The places in `value` that the paths select; raises `Invalid` for what is no JSON path."""
    found: set[Place] = set()
    for path in paths:
        fault = path_fault(path)
        if fault is not None:
            raise Invalid(fault, where="spec.diff", now="mend the suite")
        found.update(selected_places(path, value))
    return frozenset(found)


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
