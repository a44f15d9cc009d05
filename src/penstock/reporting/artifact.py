"""An artifact of any gate as a page can show it: a table where it is one, else text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.reporting.visible_text import as_json, cut, one_line, visible

CELL = 160
TEXT = 4_000
MOST_ROWS = 200
MOST_COLUMNS = 9


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows at once, and the `whole` of it where that is longer (empty: it is not)."""

    text: str
    whole: str = ""


@dataclass(frozen=True, slots=True)
class ArtifactTable:
    """Rows of equal shape; `left_out` is how many rows are not shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class ShownArtifact:
    """A named artifact: its table, or its text."""

    name: str
    table: ArtifactTable | None
    text: str


def shown_artifacts(artifacts: Mapping[str, Any]) -> list[ShownArtifact]:
    """All that hold something, by name."""
    filled = [(str(name), value) for name, value in artifacts.items() if value not in (None, [], {}, "")]
    return [_shown(name, value) for name, value in sorted(filled, key=lambda pair: pair[0])]


def _shown(name: str, value: Any) -> ShownArtifact:
    table = _table(value)
    return ShownArtifact(name, table, "" if table is not None else _text(value))


def _table(value: Any) -> ArtifactTable | None:
    """A list of objects is a table of their keys; None for everything else, and for objects of too many keys."""
    if not isinstance(value, list) or not all(isinstance(row, dict) and row for row in value):
        return None
    columns = tuple(dict.fromkeys(str(key) for row in value for key in row))
    if not columns or len(columns) > MOST_COLUMNS:
        return None
    rows = tuple(tuple(_cell(row.get(column)) for column in columns) for row in value[:MOST_ROWS])
    return ArtifactTable(columns, rows, max(0, len(value) - MOST_ROWS))


def _cell(value: Any) -> Cell:
    if value in (None, [], {}, ""):
        return Cell("")
    line = " · ".join(value) if _is_words(value) else value if isinstance(value, str) else as_json(value)
    if len(line) <= CELL and "\n" not in line:
        return Cell(visible(line))
    return Cell(one_line(line, CELL // 2), _text(value))


def _text(value: Any) -> str:
    if _is_words(value):
        return visible(cut("\n".join(value), TEXT))
    return visible(cut(value if isinstance(value, str) else as_json(value, indented=True), TEXT))


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
