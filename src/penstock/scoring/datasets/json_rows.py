"""JSON (a list of objects) and JSONL (an object a line) with the place of every row."""

import json
import re
from bisect import bisect_left
from typing import Any, NoReturn

from penstock.errors import Fault
from penstock.scoring.datasets.row import Cell, Row, Table

_SPACE = re.compile(r"\s*")
_ROW = "one JSON object a row"


def read_json(path: str, text: str) -> Table:
    """The objects of a list."""
    reader = _Reader(Table(path, [], []), text)
    place = reader.skip(0)
    if place == len(text):
        reader.table.faults.append(Fault(path, 0, 0, "", "is empty", "a JSON list of objects"))
    elif text[place] != "[":
        reader.blame(place, "is no list", "a JSON list of objects, or --format jsonl")
    else:
        reader.read_list(reader.skip(place + 1))
    return reader.table


def read_jsonl(path: str, text: str) -> Table:
    """The objects of all lines; empty lines are none."""
    table = Table(path, [], [])
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            reader = _Reader(table, line, number)
            end = reader.read_row(reader.skip(0))
            if end is not None and reader.skip(end) < len(line):
                reader.blame(reader.skip(end), "has text after the object", _ROW)
    if not table.rows and not table.faults:
        table.faults.append(Fault(path, 0, 0, "", "is empty", _ROW))
    return table


class _Reader:
    """Reads objects out of a text that begins on line `first` of the file, into a table."""

    def __init__(self, table: Table, text: str, first: int = 1) -> None:
        self.table = table
        self._text = text
        self._first = first
        self._breaks = [found.start() for found in re.finditer("\n", text)]
        self._columns = set(table.columns)

    def read_list(self, place: int) -> None:
        """Reads objects up to the closing bracket; a fault of the syntax ends the reading."""
        text = self._text
        while text[place : place + 1] != "]":
            end = self.read_row(place)
            if end is None:
                return
            place = self.skip(end)
            if text[place : place + 1] == ",":
                place = self.skip(place + 1)
            elif text[place : place + 1] != "]":
                self.blame(place, "is no JSON: a comma or ] is missing", "mend the list")
                return
        rest = self.skip(place + 1)
        if rest < len(text):
            self.blame(rest, "has text after the list", "remove it")
        if not self.table.rows and not self.table.faults:
            self.blame(place, "holds no row", _ROW)

    def read_row(self, place: int) -> int | None:
        """Adds the row that begins at `place`; returns where it ends, None where that cannot be told."""
        try:
            value, end = _DECODER.raw_decode(self._text, place)
        except _Refused as error:
            self.blame(place, str(error), "write it in a way that JSON knows")
            return None
        except json.JSONDecodeError as error:
            self.blame(error.pos, f"is no JSON: {error.msg}", _ROW)
            return None
        except RecursionError:
            self.blame(place, "nests too deep", "make it flatter")
            return None
        if not isinstance(value, dict):
            self.blame(place, "is no object", _ROW)
            return end
        line, column = self._where(place)
        self.table.rows.append(Row(line, column, {name: Cell(inner, line, column) for name, inner in value.items()}))
        for name in value:
            if name not in self._columns:
                self._columns.add(name)
                self.table.columns.append(name)
        return end

    def skip(self, place: int) -> int:
        """Where the next sign stands that is no space."""
        found = _SPACE.match(self._text, place)
        return found.end() if found else place

    def blame(self, place: int, what: str, hint: str) -> None:
        """A fault at a place of the text."""
        self.table.faults.append(Fault(self.table.path, *self._where(place), "", what, hint))

    def _where(self, place: int) -> tuple[int, int]:
        before = bisect_left(self._breaks, place)
        begin = self._breaks[before - 1] + 1 if before else 0
        return self._first + before, place - begin + 1


class _Refused(Exception):
    """Something that Python would read and JSON does not know."""


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is no JSON number")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise _Refused(f"{name!r} is there twice in one object")
        made[name] = value
    return made


_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_distinct)
