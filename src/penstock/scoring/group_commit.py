"""Rows are written in groups, in a thread: one transaction for up to 50 rows or 0.2 seconds."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")

GROUP = 50
LINGER_S = 0.2


class GroupCommit(Generic[Row]):
    """Hands rows to `put` in groups; a process that is killed loses at most the last one.

    `problem` is what `put` raised: from then on nothing is written any more, and whoever makes rows should stop.
    """

    def __init__(self, put: Callable[[Sequence[Row]], None]) -> None:
        self.problem: Exception | None = None
        self._put = put
        self._rows: list[Row] = []
        self._full = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._write())

    def add(self, row: Row) -> None:
        """Takes a row in; never waits."""
        self._rows.append(row)
        if len(self._rows) >= GROUP:
            self._full.set()

    async def close(self) -> None:
        """Returns once all rows are written, whatever cancels the caller meanwhile; then raises what `put` raised."""
        self._closing = True
        self._full.set()
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.shield(self._task)
            except asyncio.CancelledError as error:
                if self._task.cancelled():
                    raise
                cancelled = error
        self._task.result()
        if cancelled is not None:
            raise cancelled
        if self.problem is not None:
            raise self.problem

    async def _write(self) -> None:
        while self._rows or not self._closing:
            if not self._closing:
                try:
                    async with asyncio.timeout(LINGER_S):
                        await self._full.wait()
                except TimeoutError:
                    pass
            self._full.clear()
            rows, self._rows = self._rows, []
            if not rows:
                continue
            try:
                await asyncio.to_thread(self._put, rows)
            except Exception as problem:
                self.problem = problem
                return
