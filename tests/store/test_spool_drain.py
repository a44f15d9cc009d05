import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from penstock.errors import Unavailable
from penstock.store import spool as spool_module
from penstock.store import spool_drain
from penstock.store.database import Database, open_database
from penstock.store.runs import RunStore
from penstock.store.spool import Spool
from penstock.store.spool_drain import SpoolDrain
from penstock.store.spool_folder import segments


def event(number: int, run_id: str = "r") -> dict[str, Any]:
    return {
        "kind": "event",
        "event": {"id": f"{run_id}-{number}", "runId": run_id, "seq": number, "type": "llm.started"},
    }


TOO_LARGE = b'{"kind":"event","event":{"id":"x","runId":"r","seq":9223372036854775808,"type":"llm.started"}}\n'


def until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield database
    database.close()


def seqs(database: Database, run_id: str = "r") -> list[int]:
    return [found["seq"] for found in RunStore(database).events(run_id)]


def test_a_growing_spool_is_followed_and_its_segments_deleted(
    folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(folder)
    drain = SpoolDrain(folder, database, spool.executor, threaded=False)
    for number in range(1, 6):
        spool.append(event(number))
        spool.commit_blocking()
        assert drain.drain_once() == 1
    assert seqs(database) == [1, 2, 3, 4, 5]
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1)
    spool.append(event(6))
    spool.commit_blocking()
    assert len(segments(spool.folder)) == 2
    drain.drain_once()
    assert len(segments(spool.folder)) == 1
    spool.close()
    drain.close()
    assert seqs(database) == [1, 2, 3, 4, 5, 6]
    assert list(folder.iterdir()) == []


def test_the_thread_drains_by_itself(folder: Path, lite: Database) -> None:
    spool = Spool(folder)
    drain = SpoolDrain(folder, lite, spool.executor)
    spool.append(event(1))
    until(lambda: seqs(lite) == [1])
    spool.close()
    drain.close()


def test_the_spool_of_a_killed_executor_is_taken_over(folder: Path, lite: Database) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        spool = Spool(folder, executor="killed")
        for number in range(1, 101):
            spool.append(event(number))
        spool.commit_blocking()
        os.write(write, b"x")
        signal.pause()
    drain = SpoolDrain(folder, lite, threaded=False)
    assert os.read(read, 1) == b"x"
    assert drain.drain_once() == 0  # it lives
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
    assert drain.drain_once() == 100
    assert seqs(lite) == list(range(1, 101))
    assert list(folder.iterdir()) == []


def test_half_a_line_at_the_end_is_dropped_and_nothing_before_it(folder: Path, lite: Database) -> None:
    spool = Spool(folder)
    for number in (1, 2):
        spool.append(event(number))
    spool.close()
    (_, path), *_ = segments(spool.folder)
    path.write_bytes(path.read_bytes() + b'{"kind":"event","event":{"id":"half')
    assert SpoolDrain(folder, lite, threaded=False).drain_once() == 2
    assert seqs(lite) == [1, 2]
    assert list(folder.iterdir()) == []


def test_half_a_line_of_a_living_spool_is_taken_once_it_is_whole(folder: Path, lite: Database) -> None:
    spool = Spool(folder)
    spool.append(event(1))
    spool.commit_blocking()
    (_, path), *_ = segments(spool.folder)
    whole = path.read_bytes().replace(b"r-1", b"r-2").replace(b'"seq":1', b'"seq":2')
    drain = SpoolDrain(folder, lite, spool.executor, threaded=False)
    path.write_bytes(path.read_bytes() + whole[:20])
    assert drain.drain_once() == 1
    with path.open("ab") as file:
        file.write(whole[20:])
    assert drain.drain_once() == 1
    assert seqs(lite) == [1, 2]
    spool.close()
    drain.close()


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[]\n", b'{"kind":"event"}\n', b'{"kind":"event","event":{"id":1}}\n', TOO_LARGE]
)
def test_a_line_that_is_no_record_is_put_aside_and_blocks_nothing(folder: Path, lite: Database, line: bytes) -> None:
    spool = Spool(folder)
    for number in (1, 2, 3):
        spool.append(event(number))
    spool.close()
    (_, path), *_ = segments(spool.folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], line, *lines[1:]]))
    SpoolDrain(folder, lite, threaded=False).drain_once()
    assert seqs(lite) == [1, 2, 3]
    assert (folder / "damaged.jsonl").read_bytes() == line
    assert not spool.folder.exists()


def test_while_the_database_is_away_nothing_is_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_drain, "AFTER_FAULT_S", 0.02)
    file = tmp_path / "store.db"
    database = open_database(f"sqlite:///{file}")
    spool = Spool(folder)
    away = file.rename(tmp_path / "away.db")
    drain = SpoolDrain(folder, database, spool.executor)
    for number in range(1, 51):
        spool.append(event(number))
        spool.commit_blocking()
    until(lambda: drain.problem is not None)
    with pytest.raises(Unavailable):
        drain.drain_once()
    away.rename(file)
    until(lambda: drain.problem is None)
    spool.close()
    drain.close()
    assert seqs(database) == list(range(1, 51))
    database.close()


def test_a_database_that_says_nothing_is_told(folder: Path, lite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_drain, "SILENT_S", 0.05)
    answers, write = threading.Event(), lite.write

    @contextlib.contextmanager
    def says_nothing() -> Iterator[Connection]:
        assert answers.wait(20)
        with write() as connection:
            yield connection

    monkeypatch.setattr(lite, "write", says_nothing)
    spool = Spool(folder)
    drain = SpoolDrain(folder, lite, spool.executor)
    assert drain.problem is None
    spool.append(event(1))
    spool.commit_blocking()
    until(lambda: drain.problem is not None)
    assert "has not answered for 0.05 s" in str(drain.problem)
    answers.set()
    until(lambda: drain.problem is None and seqs(lite) == [1])
    spool.close()
    drain.close()


def test_what_nobody_foresaw_is_told_and_the_drain_goes_on(
    folder: Path, lite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_drain, "AFTER_FAULT_S", 0.02)
    with monkeypatch.context() as patched:
        patched.setattr(SpoolDrain, "drain_once", lambda _: 1 // 0)
        spool = Spool(folder)
        drain = SpoolDrain(folder, lite, spool.executor)
        until(lambda: drain.problem is not None)
        assert "failed with ZeroDivisionError" in str(drain.problem)
        spool.append(event(1))
    until(lambda: drain.problem is None and seqs(lite) == [1])
    spool.close()
    drain.close()


def test_two_drains_of_one_folder_do_no_harm(folder: Path, lite: Database) -> None:
    for executor in range(4):
        spool = Spool(folder, executor=f"dead-{executor}")
        for number in range(1, 201):
            spool.append(event(number, f"run-{executor}"))
        spool.close()
    drains = [SpoolDrain(folder, lite, threaded=False) for _ in range(4)]
    threads = [threading.Thread(target=drain.drain_once) for drain in drains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for executor in range(4):
        assert seqs(lite, f"run-{executor}") == list(range(1, 201))
    with lite.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM events")).scalar_one() == 800
    assert list(folder.iterdir()) == []


def test_a_missing_folder_is_nothing_to_do(folder: Path, lite: Database) -> None:
    assert SpoolDrain(folder, lite, threaded=False).drain_once() == 0


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.servers)])
def test_kill_at_any_time_loses_no_acknowledged_record(folder: Path, lite: Database, rounds: int) -> None:
    """Executors are killed while they write; what they were told is durable must be in the database afterwards."""
    for round_ in range(rounds):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            spool = Spool(folder)
            number = 0
            while True:
                number += 1
                spool.append(event(number, f"round-{round_}"))
                spool.commit_blocking()
                os.write(write, b"x")
        os.close(write)
        wanted = 1 + round_ * 7 % 40
        acknowledged = 0
        while acknowledged < wanted:
            acknowledged += len(os.read(read, wanted))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(read, 65536):
            acknowledged += len(more)
        os.close(read)
        SpoolDrain(folder, lite, threaded=False).drain_once()
        found = seqs(lite, f"round-{round_}")
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= acknowledged
