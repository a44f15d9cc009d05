"""DrainProcess: the drain of one executor in a process of its own.

As a thread it would share the interpreter with the executor's event loop: runs would wait for it, and cost more.
"""

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson

from penstock.errors import Unavailable
from penstock.garbage import settle
from penstock.settings import Settings
from penstock.store.database import Database, file_gone, is_missing
from penstock.store.depots import open_project_database
from penstock.store.spool_drain import JOIN_S, SpoolDrain
from penstock.store.spool_folder import held_bytes

LOG = logging.getLogger(__name__)
TELL_S = 0.2
AGAIN_S = 1.0


class DrainProcess:
    """Has the spool of `executor` drained, and those of executors that died, as `SpoolDrain` does.

    Where the process dies another takes its place, and what it left is drained by that. Where this one dies it takes
    in what is left of the spool, and ends. Raises `Unavailable` where no process can be started.
    """

    def __init__(self, settings: Settings, executor: str) -> None:
        self._settings = settings
        self._executor = executor
        self._folder = settings.spool / executor
        self._problem: Unavailable | None = None
        self._taken: dict[Path, int] = {}
        self._closing = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._follow, name="penstock-drain", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> Unavailable | None:
        """Why runs stay in the spool; None when all is well."""
        return self._problem

    @property
    def backlog_bytes(self) -> int:
        """What the spool holds and the database does not yet."""
        return held_bytes(self._folder, self._taken)

    def close(self) -> None:
        """Ends the process after a last turn; what that leaves, the next executor of the folder takes in."""
        self._closing.set()
        process = self._process
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        try:
            process.wait(JOIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._thread.join(JOIN_S)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", __name__]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            what = f"no process can be started that fills the database: {error.strerror or error}"
            raise Unavailable(what, where=sys.executable, now="free memory or processes") from None
        order = {"settings": self._settings.model_dump(mode="json"), "executor": self._executor, "parent": os.getpid()}
        with contextlib.suppress(OSError):  # it is gone already: who follows it sees that
            _pipe(process.stdin).write(orjson.dumps(order, option=orjson.OPT_APPEND_NEWLINE))
            _pipe(process.stdin).flush()
        return process

    def _follow(self) -> None:
        """Hears what the process tells, and starts another one if it ends unasked."""
        while True:
            status = self._heard_out(self._process)
            if self._closing.is_set():
                return
            what = f"the process that fills the database ended with status {status}"
            LOG.warning("%s; another one is started", what)
            self._problem = Unavailable(what, where=str(self._folder), now="runs stay in the spool until it is back")
            while not self._closing.wait(AGAIN_S):
                try:
                    self._process = self._start()
                    break
                except Unavailable as problem:
                    self._problem = problem
            if self._closing.is_set():  # `close` may not have seen the new one
                _pipe(self._process.stdin).close()

    def _heard_out(self, process: "subprocess.Popen[bytes]") -> int:
        """Hears a process to its end; returns its exit status."""
        with _pipe(process.stdout) as lines:
            for line in lines:
                self._heard(orjson.loads(line))
        status = process.wait()
        with contextlib.suppress(OSError):
            _pipe(process.stdin).close()
        return status

    def _heard(self, told: dict[str, Any]) -> None:
        if "log" in told:
            logging.getLogger(told["logger"]).log(told["level"], "%s", told["log"])
            return
        problem = told["problem"]
        self._problem = _unavailable(problem) if problem else None
        self._taken = {self._folder / name: taken for name, taken in told["taken"].items()}


def _unavailable(problem: dict[str, str]) -> Unavailable:
    return Unavailable(problem["what"], where=problem["where"], now=problem["now"])


def _pipe(pipe: Any) -> Any:
    assert pipe is not None
    return pipe


class _Teller(logging.Handler):
    """Tells the executor what happens here; it logs for both."""

    def emit(self, record: logging.LogRecord) -> None:
        self.tell({"log": record.getMessage(), "logger": record.name, "level": record.levelno})

    def tell(self, told: dict[str, Any]) -> None:
        self.acquire()  # two threads tell, and a line is one line
        try:
            os.write(sys.stdout.fileno(), orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
        except OSError:
            return  # it died: nobody listens, and the work goes on to its end
        finally:
            self.release()


class _Ending:
    """Whether the executor wants an end, or is gone."""

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def within(self, seconds: float) -> bool:
        """Waits so long for it at most."""
        readable, _, _ = select.select([sys.stdin], [], [], seconds)
        # A process that the executor left behind may hold the pipe open: hence the second look.
        return bool(readable) or os.getppid() != self._parent


def main() -> None:
    """Drains until the executor closes the pipe, or is gone. Its signals are the executor's to hear."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    order = orjson.loads(sys.stdin.buffer.readline())
    settings, teller, ending = Settings.model_validate(order["settings"]), _Teller(), _Ending(order["parent"])
    logging.basicConfig(level=logging.WARNING, handlers=[teller])
    database = _opened(settings, teller, ending)
    if database is None:
        return
    drain = SpoolDrain(settings.spool, database, order["executor"])
    settle()
    told = None
    while not ending.within(TELL_S):
        state = {"problem": drain.problem.as_dict() if drain.problem else None, "taken": drain.taken}
        if state != told:
            teller.tell(state)
            told = state
    drain.close()
    database.close()


def _opened(settings: Settings, teller: _Teller, ending: _Ending) -> Database | None:
    """The database, as soon as it can be reached; None if the executor ends before.

    The executor has opened it: one that is not there was taken away since, and a new one would stand in its place.
    """
    while True:
        try:
            if is_missing(settings.database):
                raise file_gone(settings.database)
            return open_project_database(settings)
        except Unavailable as problem:
            teller.tell({"problem": problem.as_dict(), "taken": {}})
        if ending.within(AGAIN_S):
            return None


if __name__ == "__main__":
    main()
