"""Drains spools into the database: this executor's as it grows, and those of executors that died.

Lines are taken in as soon as they are whole; taking one in twice changes nothing, so no mark has to be kept of how far
a drain came. A segment is deleted once the database has all of it.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from sqlalchemy import select

from penstock.errors import Invalid, Unavailable
from penstock.store import tables
from penstock.store.budget_ledger import give_up_blocks
from penstock.store.database import Database
from penstock.store.purse_file import NAME as PURSES
from penstock.store.purse_file import read_purses
from penstock.store.runs import RunStore
from penstock.store.spool_folder import LOCK, SpoolLock, held_bytes, segments

log = logging.getLogger(__name__)
PAUSE_S = 0.2
"""Between two turns, so that what comes meanwhile is one transaction: a run alone in one costs twice as much."""
AFTER_FAULT_S = 1.0
BATCH_BYTES = 1024 * 1024
PART_LINES = 300
"""Lines that are taken apart at a time, so that what they become stays in the processor's cache."""
DAMAGED = "damaged.jsonl"
JOIN_S = 30.0
SILENT_S = 10.0
"""A database that says nothing for so long is a problem to be told: no client ends a call whose server hangs."""
NOT_A_RECORD = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


class SpoolDrain:
    """Fills the database from every spool below `spool_folder`, and deletes what the database has.

    `executor` names the one whose spool is drained while it grows, "" = none; close that before the drain.
    A thread does so all the time, unless `threaded` is false. While the database is away the spools grow and
    `problem` says why, also while it hangs; nothing is lost by that.
    """

    def __init__(self, spool_folder: Path, database: Database, executor: str = "", *, threaded: bool = True) -> None:
        self._problem: Unavailable | None = None
        self._asked_at: float | None = None
        self._folder = spool_folder
        self._own = spool_folder / executor if executor else None
        self._database = database
        self._runs = RunStore(database)
        self._taken: dict[Path, int] = {}
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drain_on, name="penstock-drain", daemon=True)
        if threaded:
            self._thread.start()

    def drain_once(self) -> int:
        """Takes in all that is whole by now; returns how many records that was. Raises `Unavailable`."""
        with self._turn:
            try:
                return sum(self._drain_folder(folder) for folder in self._folders())
            except OSError as error:
                raise Unavailable(
                    f"the spool cannot be read: {error.strerror or error}",
                    where=str(self._folder),
                    now="check the folder; nothing that was not taken in was deleted",
                ) from None

    @property
    def problem(self) -> Unavailable | None:
        """Why runs stay in the spool; None when all is well."""
        asked_at = self._asked_at
        if self._problem is None and asked_at is not None and time.monotonic() > asked_at + SILENT_S:
            what = f"the database has not answered for {SILENT_S:g} s"
            return Unavailable(what, where=self._database.place, now="runs stay in the spool until it does")
        return self._problem

    @property
    def backlog_bytes(self) -> int:
        """What the executor's spool holds and the database does not yet."""
        return held_bytes(self._own, self._taken) if self._own is not None else 0

    @property
    def taken(self) -> dict[str, int]:
        """How much of each segment of the executor's spool is in the database, bytes by file name."""
        return {path.name: taken for path, taken in tuple(self._taken.items()) if path.parent == self._own}

    def close(self) -> None:
        """Ends the thread after a last turn; what that leaves, the next executor of the folder takes in."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        with contextlib.suppress(Unavailable):
            self.drain_once()

    def _drain_on(self) -> None:
        while not self._stop.is_set():
            try:
                self.drain_once()
            except Unavailable as problem:
                if self._problem is None:
                    log.warning("runs stay in the spool for now: %s", problem)
                self._problem = problem
                self._stop.wait(AFTER_FAULT_S)
                continue
            except Exception as error:  # a thread that ended here would leave a spool that grows, and say nothing
                what = f"the drain failed with {type(error).__name__}"
                if self._problem is None:
                    log.exception(what)
                self._problem = Unavailable(what, where=str(self._folder), now="see the log; runs stay in the spool")
                self._stop.wait(AFTER_FAULT_S)
                continue
            self._problem = None
            self._stop.wait(PAUSE_S)

    def _folders(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if path.is_dir())

    def _drain_folder(self, folder: Path) -> int:
        try:
            lock = SpoolLock.take(folder)
        except FileNotFoundError:
            return 0  # another drain was here first
        if lock is None:  # its executor lives, and drains it itself
            return self._drain_growing(folder) if folder == self._own else 0
        try:
            count = sum(self._drain_whole(path) for _, path in segments(folder))
            self._lose_money(folder)
            with contextlib.suppress(OSError):
                (folder / PURSES).unlink(missing_ok=True)
                (folder / LOCK).unlink()
                folder.rmdir()
            return count
        finally:
            lock.release()

    def _lose_money(self, folder: Path) -> None:
        """Gives back what an executor that died still held, as far as its spool and its purses tell.

        One that ended well gave it back by its spool's last line.
        """
        executor = folder.name
        with self._asking(), self._database.read() as connection:
            held = connection.scalar(
                select(tables.budget_blocks.c.executor).where(tables.budget_blocks.c.executor == executor).limit(1)
            )
        if held is not None:
            with self._asking(), self._database.write() as connection:
                purses = read_purses(folder) or {}
                give_up_blocks(
                    connection, executor, lambda one, nano: purses[one].unknown(nano) if one in purses else nano
                )

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        self._asked_at = time.monotonic()
        try:
            yield
        finally:
            self._asked_at = None

    def _drain_growing(self, folder: Path) -> int:
        """Takes in a spool that is written to; all its segments but the last one grow no more."""
        found = [path for _, path in segments(folder)]
        count = sum(self._drain_whole(path) for path in found[:-1])
        return count + sum(self._take_in(path) for path in found[-1:])

    def _drain_whole(self, path: Path) -> int:
        count = self._take_in(path)
        path.unlink()
        self._taken.pop(path, None)
        return count

    def _take_in(self, path: Path) -> int:
        """Takes in the lines that are new and whole; half a line at the end was never answered for."""
        count = 0
        with path.open("rb") as file:
            file.seek(self._taken.get(path, 0))
            while lines := file.readlines(BATCH_BYTES):
                is_torn = not lines[-1].endswith(b"\n")
                if is_torn:
                    lines.pop()
                self._ingest(path, lines)
                self._taken[path] = self._taken.get(path, 0) + sum(map(len, lines))
                count += len(lines)
                if is_torn:
                    break
        return count

    def _ingest(self, path: Path, lines: list[bytes]) -> None:
        """All lines at once; one by one if one of them is no record, which is put aside and blocks no other."""
        if not lines:
            return
        try:
            with self._asking(), self._database.write() as connection:
                for begin in range(0, len(lines), PART_LINES):
                    part = lines[begin : begin + PART_LINES]
                    self._runs.take_in(connection, [orjson.loads(line) for line in part])
        except (Invalid, *NOT_A_RECORD) as fault:
            if len(lines) > 1:
                for line in lines:
                    self._ingest(path, [line])
                return
            aside = self._folder / DAMAGED
            log.warning("%s: a line that is no record was put into %s: %s", path, aside, fault)
            with aside.open("ab") as file:
                file.write(lines[0])
