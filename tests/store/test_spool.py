import asyncio
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.errors import Unavailable
from penstock.store import spool as spool_module
from penstock.store import spool_segment
from penstock.store.spool import Spool
from penstock.store.spool_folder import segments


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def stored(spool: Spool) -> list[Any]:
    data = b"".join(path.read_bytes() for _, path in segments(spool.folder))
    return [orjson.loads(line) for line in data.splitlines()]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the disk
            await asyncio.sleep(0.005)


class FailingDisk:
    """`os` of the segment, failing while `code` is set; `flushes` counts what went through."""

    def __init__(self) -> None:
        self.code = 0
        self.flushes = 0
        self.after: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.code:
            os.write(descriptor, bytes(data)[: len(data) // 2])
            raise OSError(self.code, os.strerror(self.code))
        return os.write(descriptor, data)

    def fdatasync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)
        self.flushes += 1
        self.after()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FailingDisk:
    failing = FailingDisk()
    monkeypatch.setattr(spool_segment, "os", failing)
    return failing


async def test_what_is_committed_is_on_the_disk(spool: Spool) -> None:
    records = [{"kind": "event", "event": {"n": number, "text": "a\nb"}} for number in range(100)]
    for record in records:
        spool.append(record)
    await spool.commit()
    assert stored(spool) == records
    await spool.commit()


async def test_commit_waits_for_the_flush(spool: Spool, disk: FailingDisk) -> None:
    gate, reached = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        gate.wait(10)

    disk.after = hold
    spool.append({"n": 1})
    waiting = asyncio.create_task(spool.commit())
    await asyncio.to_thread(reached.wait, 10)
    assert not waiting.done()
    gate.set()
    await asyncio.wait_for(waiting, 10)


async def test_a_flush_is_shared_by_all_that_wait(spool: Spool, disk: FailingDisk) -> None:
    async def one(number: int) -> None:
        spool.append({"n": number})
        await spool.commit()

    await asyncio.gather(*(one(number) for number in range(500)))
    assert sorted(record["n"] for record in stored(spool)) == list(range(500))
    assert disk.flushes < 50


async def test_a_cancelled_waiter_hurts_nobody(spool: Spool) -> None:
    spool.append({"n": 1})
    doomed = asyncio.create_task(spool.commit())
    other = asyncio.create_task(spool.commit())
    await asyncio.sleep(0)
    doomed.cancel()
    await other
    with pytest.raises(asyncio.CancelledError):
        await doomed
    assert stored(spool) == [{"n": 1}]


def test_threads_without_a_loop_commit_too(spool: Spool) -> None:
    def one(number: int) -> None:
        spool.append({"n": number})
        spool.commit_blocking()

    threads = [threading.Thread(target=one, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored(spool)) == 8


async def test_what_nobody_commits_is_written_soon(spool: Spool) -> None:
    spool.append({"n": 1})
    await until(lambda: stored(spool))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
async def test_a_full_disk_refuses_and_recovers_without_loss(spool: Spool, disk: FailingDisk, code: int) -> None:
    spool.append({"n": 0})
    await spool.commit()
    disk.code = code
    spool.append({"n": 1})
    with pytest.raises(Unavailable, match=os.strerror(code)) as caught:
        await spool.commit()
    assert caught.value.http_status == 503
    with pytest.raises(Unavailable):
        spool.append({"n": "refused"})
    with pytest.raises(Unavailable):
        spool.commit_blocking()
    disk.code = 0
    await until(lambda: spool.problem is None)
    spool.append({"n": 2})
    await spool.commit()
    assert [record["n"] for record in stored(spool)] == [0, 1, 2]


async def test_a_spool_whose_folder_was_removed_acknowledges_nothing(spool: Spool) -> None:
    spool.append({"n": 0})
    await spool.commit()
    shutil.rmtree(spool.folder)
    spool.append({"n": 1})
    with pytest.raises(Unavailable, match="cannot be written"):
        await spool.commit()


async def test_a_full_queue_refuses_at_once(tmp_path: Path, disk: FailingDisk) -> None:
    spool = Spool(tmp_path / "spool", max_queue=10)
    gate = threading.Event()

    def hold() -> None:
        gate.wait(10)

    disk.after = hold
    spool.append({"n": 0})
    first = asyncio.create_task(spool.commit())
    await until(lambda: disk.flushes == 1)
    start = time.monotonic()
    for number in range(10):
        spool.append({"n": number})
    with pytest.raises(Unavailable, match="full"):
        spool.append({"n": 10})
    assert time.monotonic() - start < 1
    gate.set()
    await first
    await until(lambda: len(stored(spool)) == 11)
    spool.append({"n": 11})
    spool.close()
    assert len(stored(spool)) == 12


async def test_a_segment_that_is_large_enough_is_followed_by_another(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1000)
    for number in range(30):
        spool.append({"n": number, "text": "x" * 100})
        await spool.commit()
    assert len(segments(spool.folder)) == 4
    assert [record["n"] for record in stored(spool)] == list(range(30))


def test_closing_writes_what_is_queued_and_refuses_more(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for number in range(1000):
        spool.append({"n": number})
    spool.close()
    assert len(stored(spool)) == 1000
    with pytest.raises(Unavailable, match="closed"):
        spool.append({"n": 1})
    spool.close()


def test_a_name_in_use_is_refused_and_free_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "LOCK_S", 0.1)
    first = Spool(tmp_path / "spool", executor="one")
    with pytest.raises(Unavailable, match="another process"):
        Spool(tmp_path / "spool", executor="one")
    first.append({"n": 1})
    first.close()
    second = Spool(tmp_path / "spool", executor="one")
    second.append({"n": 2})
    second.close()
    assert [number for number, _ in segments(second.folder)] == [1, 2]
    assert stored(second) == [{"n": 1}, {"n": 2}]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be written"):
        Spool(tmp_path / "spool")


async def test_a_record_costs_little(spool: Spool) -> None:
    """<= 20 us of CPU a record at 16 runs at once; the figure itself is in the benchmarks."""
    record = {"kind": "event", "event": {"id": "x" * 36, "data": {"text": "y" * 300}}}

    async def run() -> None:
        for _ in range(25):
            for _ in range(8):
                spool.append(record)
            await spool.commit()

    costs = []
    for _ in range(3):
        start = time.process_time()
        await asyncio.gather(*(run() for _ in range(16)))
        costs.append((time.process_time() - start) / (16 * 25 * 8) * 1e6)
    assert min(costs) < 20
