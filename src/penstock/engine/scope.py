"""RunScope: every door call of a run is a task in here; once it is closed nothing runs on and nothing more starts."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from penstock.engine.failure import RunOver

T = TypeVar("T")

GRACE_S = 0.5
_AGAIN_S = 0.05


class CallOverdue(Exception):
    """A call did not end by its own deadline."""


class CallVanished(Exception):
    """A call cancelled itself, although nobody had cancelled it."""


class RunScope:
    """The calls in flight of one run."""

    def __init__(self) -> None:
        self.closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def busy(self) -> bool:
        """Whether calls are in flight."""
        return bool(self._tasks)

    async def run(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """The work's result. Raises `RunOver` once the scope is closed, `CallOverdue`, `CallVanished` or its own.

        Work that swallows its cancel is left behind at its deadline, and cancelled again when the scope closes.
        """
        if self.closed:
            work.close()
            raise RunOver
        loop = asyncio.get_running_loop()
        task, waiter = loop.create_task(work), loop.create_future()
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, waiter))
        timer = loop.call_later(timeout_s, _wake, waiter) if timeout_s is not None else None
        try:
            await waiter
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if self.closed:
            raise RunOver
        if not task.done():
            task.cancel()
            raise CallOverdue
        if task.cancelled():
            raise CallVanished
        return task.result()

    def close(self) -> None:
        """Cancels the calls in flight and refuses all later ones; may be called again."""
        self.closed = True
        for task in tuple(self._tasks):
            task.cancel()

    async def settle(self, *more: asyncio.Task[Any]) -> None:
        """Waits until the calls in flight, and `more`, have ended: at most `GRACE_S`, cancelling again and again."""
        for _ in range(int(GRACE_S / _AGAIN_S)):
            pending = [task for task in (*self._tasks, *more) if not task.done()]
            if not pending:
                return
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=_AGAIN_S)

    def _ended(self, task: asyncio.Task[Any], waiter: asyncio.Future[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # taken, so that the loop does not report it: who asked is gone or has it
        _wake(waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
