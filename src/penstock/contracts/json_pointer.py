"""JSON pointers (RFC 6901)."""

from typing import Any

ABSENT = object()
"""What a pointer to nothing gives: null is a value."""


def value_at(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer, or `ABSENT`."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdigit() and int(key) < len(document):
            document = document[int(key)]
        else:
            return ABSENT
    return document
