"""Cases made of the rows of a file: read whole, judged whole, every fault at once."""

import codecs
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.contracts.canonical import canonical, digest
from penstock.contracts.dataset import Case
from penstock.contracts.json_schema import instance_faults
from penstock.errors import Fault, Invalid, NotFound, Unavailable, WrongUse
from penstock.registry.document_faults import model_faults, pointer
from penstock.registry.strict_yaml import Places
from penstock.scoring.datasets.cell_value import CellFault, Read, field_reader, value_reader
from penstock.scoring.datasets.column_choice import ColumnChoice
from penstock.scoring.datasets.csv_rows import read_csv
from penstock.scoring.datasets.json_rows import read_json, read_jsonl
from penstock.scoring.datasets.row import Cell, Row, Table

MOST_BYTES = 64 * 1024 * 1024
READERS: Mapping[str, Callable[[str, str], Table]] = {"csv": read_csv, "json": read_json, "jsonl": read_jsonl}
ENDINGS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_ID_LENGTH = 12
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Imported:
    """Cases as JSON objects in the file's order; `unused` are columns that nothing was made of."""

    cases: list[dict[str, Any]]
    unused: list[str]


def read_rows(file: Path, form: str | None = None, encoding: str | None = None) -> Table:
    """The rows of a file, by the format named or else by its ending; UTF-8, or what a byte order mark says.

    Raises `NotFound`, `WrongUse` for an unknown format or encoding, `Invalid` for bytes that are no text,
    `Unavailable`. Faults of single rows are in the table.
    """
    chosen = form or ENDINGS.get(file.suffix.lower())
    if chosen is None or chosen not in READERS:
        now = "say it: --format csv, json or jsonl"
        raise WrongUse(f"the format of {file.name} is not known", where=str(file), now=now)
    return READERS[chosen](str(file), _text(file, encoding))


def import_cases(
    table: Table, choice: ColumnChoice, schema: dict[str, Any] | None = None, known: Collection[str] = ()
) -> Imported:
    """The cases of a table. `schema` is that of the dataset's inputs, None of a new one; `known` ids are taken.

    A row without an id column gets the digest of its input as id. Raises `Invalid` with every fault as
    file:line:column, `WrongUse` for columns that are not there.
    """
    maker = _CaseMaker(table, choice, schema)
    made = [(row, case) for row in table.rows if (case := maker.make(row)) is not None]
    faults = [*maker.faults, *_repeated(table.path, made, known)]
    if not table.rows and not faults:
        faults.append(Fault(table.path, 0, 0, "", "has no row", "one row a case"))
    if faults:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise Invalid(f"{count}, so nothing was imported", where=table.path, now="mend the rows", faults=faults)
    return Imported([case for _, case in made], maker.unused)


class _CaseMaker:
    """Makes cases of rows; what is wrong with them comes together in `faults`."""

    def __init__(self, table: Table, choice: ColumnChoice, schema: dict[str, Any] | None) -> None:
        self.faults = list(table.faults)
        self.unused: list[str] = []
        self._path = table.path
        self._schema = schema
        self._inputs: dict[str, tuple[str, Read]] = {}
        self._fields: dict[str, tuple[str, Read]] = {}
        # Rows of JSON that nobody chose from are cases as they stand, with every field that a case may have.
        self._as_written = bool(table.rows) and choice == ColumnChoice() and not _is_text(table)
        if table.rows and not self._as_written:
            self._choose(table, choice.settled(table))

    def make(self, row: Row) -> dict[str, Any] | None:
        """The case of a row; None if it has a fault."""
        before = len(self.faults)
        if self._as_written:
            case = {name: cell.value for name, cell in row.cells.items()}
            if "input" in case:
                case = {"id": _made_id(case["input"]), **case}
        else:
            case = self._built(row)
        if len(self.faults) == before:
            self.faults += self._case_faults(row, case)
        return case if len(self.faults) == before else None

    def _choose(self, table: Table, choice: ColumnChoice) -> None:
        for column, name in choice.input_names.items():
            properties = (self._schema or {}).get("properties", {})
            schema = properties.get(name) if name and isinstance(properties, dict) else self._schema
            self._inputs[column] = (name, value_reader(table, column, schema))
        for name, column in choice.fields.items():
            self._fields[name] = (column, field_reader(table, column, name))
        used = {*self._inputs, *(column for column, _ in self._fields.values())}
        self.unused = [column for column in table.columns if column not in used]

    def _built(self, row: Row) -> dict[str, Any]:
        given = {
            name: self._read(read, row.cells[column])
            for column, (name, read) in self._inputs.items()
            if column in row.cells
        }
        if not given:
            self._blame(row, ", ".join(self._inputs), "has no input", "fill the cell, or remove the row")
            return {}
        content = given.get("", given)
        case: dict[str, Any] = {"id": _made_id(content), "input": content}
        for name, (column, read) in self._fields.items():
            if column in row.cells:
                case[name] = self._read(read, row.cells[column])
            elif name == "id":
                self._blame(row, column, "has no id", "fill the cell, or remove the column")
        return case

    def _read(self, read: Read, cell: Cell) -> Any:
        try:
            return read(cell)
        except CellFault as error:
            self.faults.append(error.fault)
            return None

    def _case_faults(self, row: Row, case: dict[str, Any]) -> Iterator[Fault]:
        """What keeps a made case from being one, at the cell that it comes from."""
        try:
            Case.model_validate(case)
        except ValidationError as error:
            for fault in model_faults(self._path, Case, error, case, Places()):
                line, column = self._place(row, fault.pointer)
                yield replace(fault, line=line, column=column)
            return
        try:
            canonical(case)
        except ValueError as error:
            yield Fault(self._path, row.line, row.column, "", f"has a number that JSON cannot say: {error}", "as text")
            return
        for where, what in instance_faults(self._schema, case["input"]) if self._schema is not None else ():
            place = pointer(("input", *where))
            yield Fault(self._path, *self._place(row, place), place, what, "see the dataset's schema")

    def _place(self, row: Row, place: str) -> tuple[int, int]:
        """Where in the file the value comes from that stands at a place of the case."""
        column = self._fields.get(place, ("", None))[0]
        for name, (of, _) in ((source, known) for source, known in self._inputs.items()):
            if place == f"input.{of}" or (not of and place.startswith("input")):
                column = name
        cell = row.cells.get(column)
        return (cell.line, cell.column) if cell is not None else (row.line, row.column)

    def _blame(self, row: Row, what_of: str, what: str, hint: str) -> None:
        self.faults.append(Fault(self._path, row.line, row.column, what_of, what, hint))


def _text(file: Path, encoding: str | None) -> str:
    """The text of a file in Unicode form NFC."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise WrongUse(f"is larger than {MOST_BYTES} bytes", where=str(file), now="split it")
        data = file.read_bytes()
    except FileNotFoundError:
        raise NotFound("no such file", where=str(file), now="name a CSV, JSON or JSONL file") from None
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror}", where=str(file), now="see its permissions") from None
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    try:
        text = data.decode(encoding or marked or "utf-8")
    except LookupError:
        raise WrongUse(f"no encoding {encoding!r}", where=str(file), now="such as utf-8, cp1252 or utf-16") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        what = f"is no {encoding or marked or 'UTF-8'}"
        fault = Fault(str(file), line, column, "", what, "save it as UTF-8, or name its --encoding, such as cp1252")
        raise Invalid("the file cannot be read", where=str(file), now="mend it", faults=[fault]) from None
    if "\0" in text:
        raise Invalid("the file holds zero bytes: it is no text", where=str(file), now="name its --encoding")
    return unicodedata.normalize("NFC", text.removeprefix("\ufeff"))


def _is_text(table: Table) -> bool:
    return any(cell.is_text for cell in table.rows[0].cells.values()) or not table.rows[0].cells


def _made_id(content: Any) -> str:
    """An id for a row that has none: equal inputs give equal ids, so that the same file is not imported twice."""
    try:
        return digest(content).removeprefix("sha256:")[:_ID_LENGTH]
    except ValueError:
        return "-"  # a number that JSON cannot say exactly: the case is refused for it


def _repeated(path: str, made: list[tuple[Row, dict[str, Any]]], known: Collection[str]) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for row, case in made:
        name = case["id"]
        if name in known:
            yield Fault(path, row.line, row.column, "id", f"id {name!r} is in the dataset already", "ids are unique")
        elif name in first:
            what = f"id {name!r} is there twice, first on line {first[name]}"
            yield Fault(path, row.line, row.column, "id", what, "ids are unique")
        first.setdefault(name, row.line)
