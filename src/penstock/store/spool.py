"""The spool: what happened in runs, durable on the local disk before a run is answered.

Any number of threads and event loops append; one thread writes. What was appended while it flushes goes out together
in the next group, so a flush is shared by all that wait for it. The database is filled from the spool later
(`penstock.store.spool_drain`).
"""

import asyncio
import contextlib
import threading
import time
import uuid
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import orjson

from penstock.errors import Unavailable
from penstock.store.spool_folder import SpoolLock, segments, unwritable
from penstock.store.spool_segment import Segment

SEGMENT_BYTES = 4 * 1024 * 1024
"""Then another is begun, so that this one is deleted once the database has it."""
FLUSH_S = 0.1
RETRY_S = 0.25
LOCK_S = 1.0

Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"] | Future[None]


class Spool:
    """One executor's spool below `folder`; `executor` names it (None: a name of its own).

    At most `max_queue` records wait for the disk; the next one is refused. Raises `Unavailable` when the folder
    cannot be written, or another process uses that name.
    """

    def __init__(self, folder: Path, *, executor: str | None = None, max_queue: int = 10_000) -> None:
        self.executor = executor or uuid.uuid4().hex
        self.folder = folder / self.executor
        self.problem: Unavailable | None = None
        self._max_queue = max_queue
        self._queue: deque[bytes] = deque()
        self._waiters: list[Waiter] = []
        self._appended = self._durable = 0
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._segment: Segment | None = None
        self._lock, self._number = self._open()
        self._thread = threading.Thread(target=self._write_groups, name="penstock-spool", daemon=True)
        self._thread.start()

    def append(self, record: dict[str, Any]) -> None:
        """Queues a record; never waits. Raises `Unavailable` while the disk fails or the queue is full."""
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        with self._guard:
            if self.problem is not None or self._closing or len(self._queue) >= self._max_queue:
                raise self._refusal()
            self._queue.append(line)
            self._appended += 1
            crowded = len(self._queue) * 2 >= self._max_queue
        if crowded:
            self._wake.set()

    async def commit(self) -> None:
        """Returns once everything appended before is on the disk; raises `Unavailable` if it cannot be."""
        loop = asyncio.get_running_loop()
        with self._guard:
            if self._is_settled():
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((loop, future))
        self._wake.set()
        await future

    def commit_blocking(self, timeout_s: float = 30.0) -> None:
        """`commit` for callers without an event loop; a disk that hangs longer than `timeout_s` is `Unavailable`."""
        with self._guard:
            if self._is_settled():
                return
            future: Future[None] = Future()
            self._waiters.append(future)
        self._wake.set()
        try:
            future.result(timeout_s)
        except TimeoutError:
            raise unwritable(self.folder, OSError(0, f"no answer of the disk for {timeout_s:g} s")) from None

    @property
    def waiting(self) -> int:
        """Records that are not on the disk yet."""
        return self._appended - self._durable

    def close(self) -> None:
        """Writes what is queued and ends the thread. What cannot be written is refused to whoever waits for it."""
        with self._guard:
            if self._closing:
                return
            self._closing = True
        self._wake.set()
        self._thread.join()
        if self._segment is not None:
            self._segment.close()
        self._lock.release()

    def _open(self) -> tuple[SpoolLock, int]:
        try:
            lock = self._take_lock()
            return lock, max((number for number, _ in segments(self.folder)), default=0)
        except OSError as error:
            raise unwritable(self.folder, error) from None

    def _take_lock(self) -> SpoolLock:
        """The folder's lock; a drain that clears an older folder of this name holds it for a moment only."""
        patience = time.monotonic() + LOCK_S
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                lock = SpoolLock.take(self.folder)
                if lock is not None:
                    return lock
            if time.monotonic() > patience:
                raise Unavailable("another process uses this spool", where=str(self.folder), now="give it another name")
            time.sleep(LOCK_S / 20)

    def _is_settled(self) -> bool:
        """Nothing to wait for; raises while the disk fails, or when it is closed with something left."""
        if self._appended == self._durable:
            return True
        if self.problem is not None or self._closing:
            raise self._refusal()
        return False

    def _refusal(self) -> Unavailable:
        if self.problem is not None:
            return _again(self.problem)
        if self._closing:
            return Unavailable("the spool is closed", where=str(self.folder), now="the executor is shutting down")
        return Unavailable(
            f"the spool is full: {self._max_queue} records wait for the disk",
            where=str(self.folder),
            now="try again in a moment; a faster disk or more executors carry more",
        )

    def _write_groups(self) -> None:
        lines: list[bytes] = []
        while True:
            self._wake.wait(RETRY_S if lines else FLUSH_S)
            self._wake.clear()
            with self._guard:
                closing = self._closing
                lines += self._queue
                self._queue.clear()
                waiters, self._waiters = self._waiters, []
            problem = self._write(b"".join(lines))
            with self._guard:
                if problem is None:
                    self._durable += len(lines)
                    lines = []
                self.problem = problem
                if problem is not None:  # who came while the disk failed waited for the same lines
                    waiters += self._waiters
                    self._waiters = []
            _settle(waiters, problem)
            if closing:
                return

    def _write(self, data: bytes) -> Unavailable | None:
        """Writes a group durably; the problem if it cannot. The same lines are then given again."""
        try:
            if self._segment is not None and self._segment.size >= SEGMENT_BYTES:
                self._leave_segment()
            if not data:
                return None
            if self._segment is None:
                self._number += 1
                self._segment = Segment(self.folder, self._number)
            self._segment.append(data)
        except OSError as error:
            self._leave_segment()
            return unwritable(self.folder, error)
        return None

    def _leave_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None


def _settle(waiters: list[Waiter], problem: Unavailable | None) -> None:
    """Answers all that wait: one wake-up an event loop, however many wait on it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if isinstance(waiter, Future):
            _answer(waiter, problem)
        else:
            by_loop.setdefault(waiter[0], []).append(waiter[1])
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_answer_all, futures, problem)


def _answer_all(futures: "list[asyncio.Future[None]]", problem: Unavailable | None) -> None:
    for future in futures:
        if not future.done():
            _answer(future, problem)


def _answer(future: "asyncio.Future[None] | Future[None]", problem: Unavailable | None) -> None:
    if problem is None:
        future.set_result(None)
    else:
        future.set_exception(_again(problem))


def _again(problem: Unavailable) -> Unavailable:
    """The same words in an exception of its own, since each is raised in another place."""
    return Unavailable(problem.what, where=problem.where, now=problem.now)
