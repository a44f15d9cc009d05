"""RowInsert: one insert for many rows, its text made once."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Insert

GROUPS = (100, 10, 1)
"""Rows to a statement of SQLite."""


class RowInsert:
    """An insert of rows that all have the same columns, for one database; `statement` gives it when it is needed.

    SQLAlchemy's own way makes each row's parameters by themselves, which is more work than the insert. SQLite's driver
    gives up the interpreter's lock at each statement, and then waits for it behind whoever serves runs: so there a
    statement takes as many rows as there are. Values go to the driver as they are: texts, numbers and None.
    """

    def __init__(self, statement: Callable[[], Insert]) -> None:
        self._statement = statement
        self._text = ""
        self._names: Sequence[str] | None = None

    def put(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts the rows, if there are any."""
        if not rows:
            return
        if not self._text:
            compiled = self._statement().compile(dialect=connection.dialect, column_keys=list(rows[0]))
            self._names, self._text = compiled.positiontup, str(compiled)
        if self._names is None:
            connection.exec_driver_sql(self._text, list(rows))
            return
        values, begin = list(map(itemgetter(*self._names), rows)), 0
        for size in GROUPS:
            while begin + size <= len(values):
                group = tuple(chain.from_iterable(values[begin : begin + size]))
                connection.exec_driver_sql(self._text_of(size), group)
                begin += size

    def _text_of(self, rows: int) -> str:
        assert self._names is not None
        one = f"({', '.join('?' * len(self._names))})"
        return self._text.replace(f"VALUES {one}", f"VALUES {', '.join([one] * rows)}", 1)
