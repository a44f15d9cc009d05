"""JSON pointers (RFC 6901) into values, and templates that are filled through them."""

from collections.abc import Iterator
from typing import Any

ABSENT: Any = object()
"""What a pointer to nothing gives: null is a value."""
Where = tuple[str | int, ...]


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


def template_pointers(template: Any, where: Where = ()) -> Iterator[tuple[Where, str]]:
    """Every `{from: pointer}` of a template, with its place in it."""
    pointer = _pointer(template)
    if pointer is not None:
        yield where, pointer
    elif isinstance(template, dict):
        for key, value in template.items():
            yield from template_pointers(value, (*where, key))
    elif isinstance(template, list):
        for position, value in enumerate(template):
            yield from template_pointers(value, (*where, position))


def filled(template: Any, document: Any, *, leave_out: bool = False) -> Any:
    """The template with the document's values in place of its pointers.

    Where one of them leads nowhere the whole is `ABSENT`; with `leave_out` only that item or field is missing.
    """
    pointer = _pointer(template)
    if pointer is not None:
        return value_at(document, pointer)
    if isinstance(template, dict):
        fields = {key: filled(value, document, leave_out=leave_out) for key, value in template.items()}
        there: Any = {key: value for key, value in fields.items() if value is not ABSENT}
    elif isinstance(template, list):
        items = [filled(value, document, leave_out=leave_out) for value in template]
        there = [value for value in items if value is not ABSENT]
    else:
        return template
    return there if leave_out or len(there) == len(template) else ABSENT


def _pointer(value: Any) -> str | None:
    """The pointer of an object that is exactly `{from: pointer}`."""
    if not isinstance(value, dict) or set(value) != {"from"}:
        return None
    pointer = value["from"]
    return pointer if isinstance(pointer, str) and (not pointer or pointer.startswith("/")) else None
