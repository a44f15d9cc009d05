"""CSV (RFC 4180) with the place of every cell: quoted cells may hold separators, quotes and line ends."""

from collections.abc import Iterator

from penstock.errors import Fault
from penstock.scoring.datasets.row import Cell, Row, Table

SEPARATORS = ",;\t"
_QUOTE = '"'


def read_csv(path: str, text: str) -> Table:
    """The rows below the header line; the separator is the one that the header has most of."""
    faults: list[Fault] = []
    records = _records(path, text, _separator(text), faults)
    header = next(records, None)
    if header is None:
        return Table(
            path, [], [], [*faults, Fault(path, 0, 0, "", "is empty", "a line of column names, then one row a case")]
        )
    names = [cell.value.strip() for cell in header]
    faults += _header_faults(path, header, names)
    rows = []
    for record in records:
        if len(record) == 1 and not record[0].value:
            continue  # an empty line
        if len(record) != len(names):
            what = f"has {len(record)} cells, and the header has {len(names)}"
            faults.append(
                Fault(path, record[0].line, record[0].column, "", what, "quote cells that hold the separator")
            )
            continue
        cells = {name: cell for name, cell in zip(names, record, strict=True) if cell.value}
        rows.append(Row(record[0].line, record[0].column, cells))
    return Table(path, names, rows, faults)


def _separator(text: str) -> str:
    line = "".join(part for at, part in enumerate(text.split("\n", 1)[0].split(_QUOTE)) if at % 2 == 0)
    return max(SEPARATORS, key=line.count)


def _header_faults(path: str, header: list[Cell], names: list[str]) -> Iterator[Fault]:
    for at, (cell, name) in enumerate(zip(header, names, strict=True)):
        if not name:
            yield Fault(path, cell.line, cell.column, "", f"column {at + 1} has no name", "name it in the first line")
        elif name in names[:at]:
            yield Fault(path, cell.line, cell.column, "", f"column {name!r} is there twice", "rename one of them")


def _records(path: str, text: str, separator: str, faults: list[Fault]) -> Iterator[list[Cell]]:
    """The cells of each record; a fault of the quoting ends the reading, since what follows cannot be told apart."""
    place, line, begin = 0, 1, 0
    record: list[Cell] = []
    while place < len(text) or record:
        start_line, start_column = line, place - begin + 1
        if text.startswith(_QUOTE, place):
            end = _closing(text, place + 1)
            if end is None:
                what = "has a quote that nothing closes"
                faults.append(Fault(path, start_line, start_column, "", what, "double a quote inside of a quoted cell"))
                return
            value = text[place + 1 : end].replace('""', '"')
            breaks = text.count("\n", place, end)
            if breaks:
                line, begin = line + breaks, text.rindex("\n", place, end) + 1
            place = end + 1
        else:
            end = _end_of_plain(text, place, separator)
            value, place = text[place:end], end
        record.append(Cell(value.replace("\r\n", "\n"), start_line, start_column, is_text=True))
        if text.startswith(separator, place):
            place += 1
            continue
        if place < len(text) and text[place] not in "\r\n":
            what = "has text after a closing quote"
            faults.append(Fault(path, line, place - begin + 1, "", what, "double a quote inside of a quoted cell"))
            return
        place += 2 if text.startswith("\r\n", place) else 1
        line, begin = line + 1, place
        yield record
        record = []


def _closing(text: str, place: int) -> int | None:
    """Where the quote stands that closes the one before `place`."""
    while True:
        place = text.find(_QUOTE, place)
        if place < 0:
            return None
        if not text.startswith('""', place):
            return place
        place += 2


def _end_of_plain(text: str, place: int, separator: str) -> int:
    ends = [at for sign in (separator, "\n", "\r") if (at := text.find(sign, place)) >= 0]
    return min(ends, default=len(text))
