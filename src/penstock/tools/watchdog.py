"""The watchdog: names the async tool that keeps the event loop from turning.

An `async def` tool shares the loop with every other run. One that computes for a long time, or calls something that
blocks, stops all of them, its own timeout included, and cannot be killed from within the process. What can be done is
to say who it is: a thread sees that the loop does not turn and looks whose code is on its stack.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from types import FrameType, TracebackType

from penstock.tools.code import ToolCode

logger = logging.getLogger("penstock.tools")

LOOKS_PER_LIMIT = 5


@dataclass(slots=True, eq=False)
class Watched:
    """One call of an async tool, from its start to its end; use it as a context manager."""

    watchdog: "Watchdog"
    code: ToolCode
    call_id: str
    loop: asyncio.AbstractEventLoop
    thread_id: int
    is_named: bool = False

    def __enter__(self) -> "Watched":
        self.watchdog.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.watchdog.remove(self)


class _Pulse:
    """One loop's last turn, on the monotonic clock: a beat is asked for, and the loop answers when it turns."""

    def __init__(self) -> None:
        self.asked_at: float | None = None

    def ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked_at = time.monotonic()
        try:
            loop.call_soon_threadsafe(self.answer)
        except RuntimeError:  # the loop was closed: nobody waits for it
            self.asked_at = None

    def answer(self) -> None:
        self.asked_at = None


class Watchdog:
    """Looks while an async tool runs, and sleeps while none does; `block_ms` is how long a loop may stand still."""

    def __init__(self, block_ms: int = 250) -> None:
        self._limit_s = block_ms / 1000
        self._calls: set[Watched] = set()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, code: ToolCode, call_id: str) -> Watched:
        """Watches one call in the running loop; in a `with`, so that its end is seen."""
        return Watched(self, code, call_id, asyncio.get_running_loop(), threading.get_ident())

    def add(self, call: Watched) -> None:
        """A call has begun."""
        self._calls.add(call)
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def remove(self, call: Watched) -> None:
        """A call has ended."""
        self._calls.discard(call)

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._look_on, name="penstock-tool-watchdog", daemon=True)
                self._thread.start()

    def _look_on(self) -> None:
        pulses: dict[asyncio.AbstractEventLoop, _Pulse] = {}
        while not self._closed:
            calls = list(self._calls)
            if not calls:
                pulses.clear()
                self._wake.clear()
                if not self._calls:  # one may have begun since
                    self._wake.wait()
                continue
            for loop in {call.loop for call in calls}:
                self._look(loop, pulses.setdefault(loop, _Pulse()), calls)
            time.sleep(self._limit_s / LOOKS_PER_LIMIT)

    def _look(self, loop: asyncio.AbstractEventLoop, pulse: _Pulse, calls: list[Watched]) -> None:
        asked_at = pulse.asked_at
        if asked_at is None:
            pulse.ask(loop)
            return
        stood_s = time.monotonic() - asked_at
        if stood_s > self._limit_s:
            _name([call for call in calls if call.loop is loop], stood_s)


def _name(calls: list[Watched], stood_s: float) -> None:
    """Warns once a call of the tool whose code is on the loop's stack; nothing if it is no tool that blocks."""
    frame = sys._current_frames().get(calls[0].thread_id)
    blocking = _tool_on(frame)
    suspects = [call for call in calls if call.code.package == blocking]
    unnamed = [call for call in suspects if not call.is_named]
    if frame is None or not unnamed or len(unnamed) < len(suspects):
        return
    for call in unnamed:
        call.is_named = True
    which = " or ".join(call.call_id for call in unnamed)
    stack = "".join(traceback.format_stack(frame))
    logger.warning(
        "%s blocks the event loop for %d ms so far (call %s): make it a plain `def`, or await instead of blocking\n%s",
        unnamed[0].code.ref,
        stood_s * 1000,
        which,
        stack,
    )


def _tool_on(frame: FrameType | None) -> str:
    """The package of the tool nearest to where the thread is, empty if there is none."""
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package.startswith("penstock_tool_"):
            return package
        frame = frame.f_back
    return ""
