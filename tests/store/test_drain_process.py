import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.settings import Settings
from penstock.store.database import Database, open_database
from penstock.store.drain_process import DrainProcess
from penstock.store.runs import RunStore
from penstock.store.spool import Spool

EXECUTOR = """
import subprocess, sys
from pathlib import Path
from penstock.settings import Settings
from penstock.store.drain_process import DrainProcess
from penstock.store.spool import Spool
settings = Settings(root=Path(sys.argv[1]))
spool = Spool(settings.spool)
drain = DrainProcess(settings, spool.executor)
left_behind = subprocess.Popen(["sleep", "60"], close_fds=False, pass_fds=[drain._process.stdin.fileno()])
for number in range(1, 101):
    spool.append({"kind": "event", "event": {"id": f"e-{number}", "runId": "r", "seq": number, "type": "llm.started"}})
spool.commit_blocking()
print(left_behind.pid, drain._process.pid, flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether it runs: what has ended may wait for its parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def append(spool: Spool, number: int) -> None:
    spool.append({"kind": "event", "event": {"id": f"e-{number}", "runId": "r", "seq": number, "type": "llm.started"}})
    spool.commit_blocking()


def seqs(database: Database) -> list[int]:
    return [event["seq"] for event in RunStore(database).events("r")]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


@pytest.fixture
def lite(settings: Settings) -> Iterator[Database]:
    database = open_database(settings.database)
    yield database
    database.close()


@pytest.fixture
def spool(settings: Settings) -> Iterator[Spool]:
    made = Spool(settings.spool)
    yield made
    made.close()


@pytest.fixture
def drain(settings: Settings, lite: Database, spool: Spool) -> Iterator[DrainProcess]:
    made = DrainProcess(settings, spool.executor)
    yield made
    made.close()


def pid_of(drain: DrainProcess) -> int:
    return drain._process.pid


def test_a_spool_is_followed_and_its_backlog_known(drain: DrainProcess, spool: Spool, lite: Database) -> None:
    append(spool, 1)
    assert drain.backlog_bytes > 0
    until(lambda: seqs(lite) == [1])
    until(lambda: drain.backlog_bytes == 0)
    append(spool, 2)
    until(lambda: seqs(lite) == [1, 2])
    assert drain.problem is None


def test_closing_takes_in_the_rest_and_ends_the_process(
    drain: DrainProcess, spool: Spool, lite: Database, settings: Settings
) -> None:
    pid = pid_of(drain)
    for number in range(1, 1_001):
        append(spool, number)
    spool.close()
    drain.close()
    assert seqs(lite) == list(range(1, 1_001))
    assert list(settings.spool.iterdir()) == []
    assert not is_alive(pid)


def test_another_process_takes_the_place_of_one_that_was_killed(
    drain: DrainProcess, spool: Spool, lite: Database
) -> None:
    append(spool, 1)
    until(lambda: seqs(lite) == [1])
    killed = pid_of(drain)
    os.kill(killed, signal.SIGKILL)
    append(spool, 2)
    until(lambda: drain.problem is not None)
    assert "status -9" in str(drain.problem)
    until(lambda: drain.problem is None and seqs(lite) == [1, 2])
    assert pid_of(drain) != killed


def test_signals_that_end_the_executor_do_not_end_it_before(drain: DrainProcess, spool: Spool, lite: Database) -> None:
    append(spool, 1)
    until(lambda: seqs(lite) == [1])
    pid = pid_of(drain)
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    append(spool, 2)
    until(lambda: seqs(lite) == [1, 2])
    assert pid_of(drain) == pid


def test_while_the_database_is_away_the_reason_is_told_and_nothing_is_lost(
    drain: DrainProcess, spool: Spool, lite: Database, settings: Settings, tmp_path: Path
) -> None:
    append(spool, 1)
    until(lambda: seqs(lite) == [1])
    file = settings.state / "store.db"
    away = file.rename(tmp_path / "away.db")
    append(spool, 2)
    until(lambda: drain.problem is not None)
    assert "gone" in str(drain.problem)
    away.rename(file)
    until(lambda: drain.problem is None and seqs(lite) == [1, 2])


def test_a_database_that_was_taken_away_before_it_began_is_not_made_anew(
    settings: Settings, lite: Database, spool: Spool, tmp_path: Path
) -> None:
    file = settings.state / "store.db"
    away = file.rename(tmp_path / "away.db")
    drain = DrainProcess(settings, spool.executor)
    append(spool, 1)
    until(lambda: drain.problem is not None)
    assert "gone" in str(drain.problem)
    assert not file.exists()
    away.rename(file)
    until(lambda: drain.problem is None and seqs(lite) == [1])
    drain.close()


def test_the_rest_of_an_executor_that_was_killed_is_taken_in_at_once(settings: Settings, lite: Database) -> None:
    """A process that it left behind holds the pipe open: the drain ends all the same."""
    command = [sys.executable, "-c", EXECUTOR, str(settings.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as executor:
        assert executor.stdout is not None
        left_behind, drain = map(int, executor.stdout.readline().split())
        executor.kill()
        executor.wait()
    try:
        until(lambda: not is_alive(drain))
        assert seqs(lite) == list(range(1, 101))
        assert list(settings.spool.iterdir()) == []
        assert is_alive(left_behind)
    finally:
        os.kill(left_behind, signal.SIGKILL)
