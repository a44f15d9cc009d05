"""Workers by the code that they have loaded: started when needed, kept while they are used, bounded in number."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from penstock.pal import ToolFailed
from penstock.tools.code import ToolCode
from penstock.tools.worker_process import WorkerProcess

Key = tuple[str, str]


@dataclass(slots=True)
class _Call:
    """One call's hold on a worker; a cancel reaches the worker whenever it comes."""

    worker: WorkerProcess | None = None
    is_cancelled: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, worker: WorkerProcess | None) -> None:
        """Holds a worker, or none; raises `ToolFailed` if the call was cancelled meanwhile."""
        with self.lock:
            self.worker = worker
            if self.is_cancelled:
                raise ToolFailed("it was stopped")

    def cancel(self) -> None:
        """Kills the worker that is held, now or as soon as there is one."""
        with self.lock:
            self.is_cancelled = True
            if self.worker is not None:
                self.worker.stop()


@dataclass(slots=True)
class _Lane:
    """The threads that speak with the workers of one tool's code; gone when no call is under way."""

    threads: ThreadPoolExecutor
    calls: int = 0


class WorkerPool:
    """At most `per_code` workers at once for one tool's code (more calls wait), at most `idle` that wait for calls."""

    def __init__(self, per_code: int = 4, idle: int = 16) -> None:
        self._per_code = per_code
        self._most_idle = idle
        self._idle: list[WorkerProcess] = []
        self._lanes: dict[Key, _Lane] = {}
        self._lock = threading.Lock()
        self._closed = False

    async def ask(self, code: ToolCode, request: Mapping[str, Any], hear: Callable[[str], None]) -> Any:
        """The result of one call; a cancel kills its worker. Raises `ToolFailed`."""
        key = (code.package, code.entry)
        call = _Call()
        lane = self._enter(key)
        try:
            return await asyncio.get_running_loop().run_in_executor(
                lane.threads, self._serve, code, request, hear, call
            )
        except asyncio.CancelledError:
            call.cancel()
            raise
        finally:
            self._leave(key, lane)

    def warm(self, code: ToolCode, hear: Callable[[str], None]) -> None:
        """Sees to it that one worker has imported the code; blocks. Raises `ToolFailed` if the import fails."""
        with self._lock:
            if self._closed or any(worker.code == code for worker in self._idle):
                return
        worker = WorkerProcess(code, hear)
        try:
            worker.load()
        except BaseException:
            worker.close()
            raise
        self._give_back(worker)

    def close(self) -> None:
        """Ends the idle workers, and each other one when its call is over."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    def _enter(self, key: Key) -> _Lane:
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = _Lane(ThreadPoolExecutor(self._per_code, "penstock-tool"))
            lane.calls += 1
            return lane

    def _leave(self, key: Key, lane: _Lane) -> None:
        with self._lock:
            lane.calls -= 1
            if lane.calls == 0:
                del self._lanes[key]
                lane.threads.shutdown(wait=False)

    def _serve(self, code: ToolCode, request: Mapping[str, Any], hear: Callable[[str], None], call: _Call) -> Any:
        """In a thread of the lane: a worker that is idle or new, its answer, the worker back or gone."""
        worker = self._idle_worker(code)
        is_new = worker is None
        if worker is None:
            call.take(None)
            worker = WorkerProcess(code, hear)
        try:
            call.take(worker)
            if is_new:
                worker.load()
            return worker.ask(request)
        finally:
            try:
                call.take(None)
            except ToolFailed:
                worker.stop()
            self._give_back(worker)

    def _idle_worker(self, code: ToolCode) -> WorkerProcess | None:
        with self._lock:
            fitting = [worker for worker in self._idle if worker.code == code]
            for worker in reversed(fitting):
                self._idle.remove(worker)
                if worker.is_ready:
                    return worker
                worker.close()
        return None

    def _give_back(self, worker: WorkerProcess) -> None:
        """Keeps the worker for the next call; the one that has waited longest makes room."""
        surplus = worker
        with self._lock:
            if worker.is_ready and not self._closed:
                self._idle.append(worker)
                if len(self._idle) <= self._most_idle:
                    return
                surplus = self._idle.pop(0)
        surplus.close()
