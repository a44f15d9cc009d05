"""What a cell says: JSON values as they are; the text of a CSV cell as its whole column is read."""

import json
import re
from collections.abc import Callable
from typing import Any

from penstock.errors import Fault
from penstock.scoring.datasets.row import Cell, Table

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,14})")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?")
_WORDS = {"true": True, "false": False}
_TAG_GAP = re.compile(r"[,;|]")
_HINTS = {
    "integer": "digits alone, as 12",
    "number": "a number with a point, as 1.5",
    "boolean": "true or false",
    "array": "a JSON list, as [1, 2]",
    "object": 'a JSON object, as {"a": 1}',
}

Read = Callable[[Cell], Any]


class CellFault(Exception):
    """A cell that is not what its column is read as; `fault` says where."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def field_reader(table: Table, column: str, field: str) -> Read:
    """Reads a field of a case beside the input: ids and clusters are text, tags are split at commas."""
    if field in {"id", "cluster"}:
        return lambda cell: cell.value if isinstance(cell.value, str) else json.dumps(cell.value)
    if field == "tags":
        return _tags
    return value_reader(table, column, None)


def value_reader(table: Table, column: str, schema: Any) -> Read:
    """Reads the values of a column: by the type that a schema gives it, else by what all of its cells are.

    A column of numbers with one word in it is a column of text; with leading zeros they are no numbers.
    """
    given = schema.get("type") if isinstance(schema, dict) else None
    kind = given if isinstance(given, str) else _kind(table, column)

    def read(cell: Cell) -> Any:
        if not cell.is_text:
            return cell.value
        try:
            return _parsed(cell.value, kind)
        except ValueError:
            what = f"{cell.value[:40]!r} is no {kind}"
            raise CellFault(Fault(table.path, cell.line, cell.column, column, what, _HINTS.get(kind, ""))) from None

    return read


def _kind(table: Table, column: str) -> str:
    texts = [row.cells[column].value for row in table.rows if column in row.cells and row.cells[column].is_text]
    for kind in ("integer", "number", "boolean", "array", "object"):
        if texts and all(_fits(text, kind) for text in texts):
            return kind
    return "string"


def _fits(text: str, kind: str) -> bool:
    try:
        _parsed(text, kind)
    except ValueError:
        return False
    return True


def _parsed(text: str, kind: str) -> Any:
    """Raises `ValueError` for a text that is not of that kind."""
    if kind in {"array", "object"}:
        value = json.loads(text)
        if not isinstance(value, list if kind == "array" else dict):
            raise ValueError(kind)
        return value
    plain = text.strip()
    if kind == "integer" and _INTEGER.fullmatch(plain):
        return int(plain)
    if kind == "number" and _NUMBER.fullmatch(plain):
        return int(plain) if _INTEGER.fullmatch(plain) else float(plain)
    if kind == "boolean" and plain.lower() in _WORDS:
        return _WORDS[plain.lower()]
    if kind in {"integer", "number", "boolean"}:
        raise ValueError(kind)
    return text


def _tags(cell: Cell) -> Any:
    if not isinstance(cell.value, str):
        return cell.value
    if cell.value.lstrip().startswith("["):
        try:
            return json.loads(cell.value)
        except ValueError:
            return [cell.value]
    return [tag.strip() for tag in _TAG_GAP.split(cell.value) if tag.strip()]
