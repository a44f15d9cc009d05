"""Rows as a table of Dagster's: of one shape, readable, and never endless."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from penstock.reporting.visible_text import one_line

MOST_ROWS = 100
LONGEST_CELL = 500
Cell = str | int | float | bool | None


def metadata_table(rows: Sequence[Mapping[str, Any]]) -> dg.MetadataValue[Any]:
    """The first `MOST_ROWS` rows, which all have the columns of the first; the word `none` where there is none.

    Numbers stay numbers; everything else becomes one line of text.
    """
    if not rows:
        return dg.MetadataValue.text("none")
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows[:MOST_ROWS]]
    columns = [dg.TableColumn(name, _kind([one.data[name] for one in records])) for name in records[0].data]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _cell(value: Any) -> Cell:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or isinstance(value, bool | int | float):
        return value
    return one_line(value, LONGEST_CELL)


def _kind(cells: Sequence[Cell]) -> str:
    """The column's type as Dagster shows it."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds and kinds <= {int, float}:
        return "int" if kinds == {int} else "float"
    return "bool" if kinds == {bool} else "string"
