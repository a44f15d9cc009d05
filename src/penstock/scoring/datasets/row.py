"""Rows of a file that cases are made of: values with their place, so that every fault names line and column."""

from dataclasses import dataclass, field
from typing import Any

from penstock.errors import Fault


@dataclass(frozen=True, slots=True)
class Cell:
    """One value and where it begins (both from 1). `is_text` = the file knows text only, as CSV does."""

    value: Any
    line: int
    column: int
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row: column name -> cell; an empty cell of a CSV file is no cell."""

    line: int
    column: int
    cells: dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file as far as they could be read, its columns in their order, and every fault."""

    path: str
    columns: list[str]
    rows: list[Row]
    faults: list[Fault] = field(default_factory=list)
