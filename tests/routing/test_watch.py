import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Invalid, Unavailable
from penstock.routing import watch as watch_module
from penstock.routing.table import RoutingTable
from penstock.routing.table_memory import TableMemory
from penstock.routing.watch import TableWatch
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore, table_name

Watching = Callable[[], TableWatch]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def watching(released: Any, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Watching:
    """A watch of the store that looks when it is told to, and checks the store's identity at every look."""
    monkeypatch.setattr(watch_module, "CHECK_S", 0.0)
    return lambda: TableWatch(ReleaseStore(FolderStore(released.store.url)), cache)


def generation(watch: TableWatch) -> int | None:
    return watch.current.generation if watch.current is not None else None


def write_table(store: ReleaseStore, number: int, data: bytes) -> None:
    Path(store.url, table_name(number)).write_bytes(data)


def test_new_tables_come_into_force_with_their_releases_cached(released: Any, watching: Watching, cache: Path) -> None:
    released.publish("1.0.0")
    watch = watching()
    heard: list[int] = []
    watch.subscribe(lambda table: heard.append(table.generation))
    watch.look()
    assert (generation(watch), watch.problem) == (1, None)
    for version in ("1.1.0", "1.2.0"):
        released.publish(version)
    watch.look()
    assert generation(watch) == 3
    assert heard == [1, 3]
    assert (cache / "releases" / "sha256" / f"{released.release('1.2.0')[7:]}.json").exists()
    assert watch.age_s is not None
    assert watch.age_s < 5


def test_before_the_first_table_the_problem_says_so(released: Any, watching: Watching) -> None:
    watch = watching()
    watch.look()
    assert isinstance(watch.problem, Unavailable)
    released.store.lineage(create=True)
    watch.look()
    assert "no routing table yet" in str(watch.problem)
    assert (watch.current, watch.age_s) == (None, None)
    released.publish("1.0.0")
    watch.look()
    assert generation(watch) == 1
    assert str(watch.problem) == "None"


def test_a_table_cut_in_half_leaves_the_last_good_one(
    released: Any, watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    whole = released.store.table_bytes(1)
    write_table(released.store, 2, whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            watch.look()
    assert generation(watch) == 1
    assert isinstance(watch.problem, Invalid)
    assert "not complete" in str(watch.problem)
    assert table_name(2) in str(watch.problem)
    assert caplog.text.count("routing stays as it is") == 1
    released.publish("1.1.0")
    watch.look()
    assert generation(watch) == 3
    watch.look()
    assert watch.problem is None


def test_a_missing_blob_leaves_the_last_good_table_until_it_is_there(released: Any, watching: Watching) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    released.publish("1.1.0")
    release = Path(released.store.url, "releases", "sha256", f"{released.release('1.1.0')[7:]}.json")
    away = release.rename(release.with_suffix(".away"))
    watch.look()
    assert generation(watch) == 1
    assert "generation 2 cannot be served" in str(watch.problem)
    assert released.release("1.1.0") in str(watch.problem)
    away.rename(release)
    watch.look()
    assert (generation(watch), watch.problem) == (2, None)


def test_of_several_new_tables_the_newest_that_can_be_served_is_taken(released: Any, watching: Watching) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    released.publish("1.1.0")
    released.publish("1.2.0")
    Path(released.store.url, "releases", "sha256", f"{released.release('1.2.0')[7:]}.json").unlink()
    watch.look()
    assert generation(watch) == 2
    assert "generation 3 cannot be served" in str(watch.problem)


def test_a_lower_generation_is_not_taken(released: Any, watching: Watching) -> None:
    released.publish("1.0.0")
    released.publish("1.1.0")
    watch = watching()
    watch.look()
    Path(released.store.url, table_name(2)).unlink()
    watch.look()
    assert generation(watch) == 2
    assert "went back to generation 1" in str(watch.problem)
    again = watching()
    again.look()
    assert generation(again) == 2
    assert "went back to generation 1" in str(again.problem)


def test_a_table_under_another_generations_name_is_not_taken(released: Any, watching: Watching) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    write_table(released.store, 2, released.store.table_bytes(1))
    watch.look()
    assert generation(watch) == 1
    assert "says generation 1" in str(watch.problem)


def test_another_lineage_is_taken_only_once_it_is_adopted(released: Any, watching: Watching, cache: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        released.publish(version)
    watch = watching()
    watch.look()
    before = released.store.lineage()
    shutil.rmtree(Path(released.store.url, "routing"))
    Path(released.store.url, "lineage.json").unlink()
    released.store = ReleaseStore(FolderStore(released.store.url))
    anew = released.publish("1.2.0")
    for one in (watch, watching()):
        one.look()
        assert generation(one) == 2
        assert one.current is not None
        assert one.current.lineage == before
        assert before in str(one.problem)
        assert "routes adopt" in str(one.problem)
    TableMemory(cache).adopt(anew.lineage)
    watch.look()
    assert (generation(watch), watch.problem) == (1, None)
    assert watch.current is not None
    assert watch.current.lineage == anew.lineage


def test_an_emptied_store_changes_nothing(released: Any, watching: Watching) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    shutil.rmtree(released.store.url)
    Path(released.store.url).mkdir()  # what a mount point looks like when its volume is gone
    watch.look()
    assert generation(watch) == 1
    assert "no lineage.json" in str(watch.problem)


def test_a_store_that_is_gone_changes_nothing_and_a_start_needs_it_not(
    released: Any, watching: Watching, cache: Path, tmp_path: Path
) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    gone = Path(released.store.url).rename(tmp_path / "gone")
    watch.look()
    assert generation(watch) == 1
    assert isinstance(watch.problem, Unavailable)
    hour_ago = time.time() - 3600
    os.utime(cache / "routing" / "last.json", (hour_ago, hour_ago))
    again = watching()
    assert generation(again) == 1
    again.look()
    assert generation(again) == 1
    assert isinstance(again.problem, Unavailable)
    assert again.age_s is not None
    assert 3590 < again.age_s < 3700
    assert again.releases.release(released.release("1.0.0")).version == "1.0.0"
    gone.rename(released.store.url)
    again.look()
    assert again.problem is None
    assert again.age_s < 5


def test_a_damaged_memory_is_no_table(released: Any, watching: Watching, cache: Path) -> None:
    released.publish("1.0.0")
    watching().look()
    (cache / "routing" / "last.json").write_bytes(b"{")
    assert watching().current is None


def test_a_full_cache_disk_stops_no_rollback(
    released: Any, watching: Watching, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released.publish("1.0.0")
    released.publish("1.1.0", previous=released.entry("1.0.0"))
    watch = watching()
    watch.look()
    released.publish("1.0.0", kind="rollback")

    def full(*_: object) -> None:
        raise Unavailable("no space left", where=str(cache))

    with monkeypatch.context() as patch:
        patch.setattr(TableMemory, "keep", full)
        watch.look()
        assert generation(watch) == 3
        assert "no space left" in str(watch.problem)
        watch.look()
        assert "no space left" in str(watch.problem)
    watch.look()
    assert watch.problem is None
    assert generation(watching()) == 3


def test_an_unforeseen_fault_is_named_and_the_watch_lives(
    released: Any, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    released.publish("1.0.0")
    watch = watching()
    watch.look()
    with monkeypatch.context() as patch:
        patch.setattr(ReleaseStore, "table_bytes", lambda *_: 1 / 0)
        watch.look()
    assert "unexpected" in str(watch.problem)
    watch.look()
    assert (generation(watch), watch.problem) == (1, None)


@pytest.fixture
def running(released: Any, cache: Path) -> Iterator[TableWatch]:
    released.publish("1.0.0")
    watch = TableWatch(ReleaseStore(FolderStore(released.store.url)), cache, poll_ms=20).start()
    yield watch
    watch.close()


def test_the_thread_follows_within_a_second(released: Any, running: TableWatch) -> None:
    assert generation(running) == 1
    start = time.monotonic()
    released.publish("1.1.0")
    assert running.wait_for(2, timeout_s=10)
    assert time.monotonic() - start < 1
    assert not running.wait_for(3, timeout_s=0.05)


def test_a_reader_sees_only_whole_tables_while_they_are_published(released: Any, running: TableWatch) -> None:
    seen: list[RoutingTable] = []
    running.subscribe(seen.append)
    versions = [f"1.{number}.0" for number in range(1, 16)]
    for version in versions:
        released.release(version)
    publisher = threading.Thread(target=lambda: [released.publish(version) for version in versions])
    publisher.start()
    publisher.join()
    assert running.wait_for(16, timeout_s=10)
    assert [table.generation for table in seen] == sorted({table.generation for table in seen})
    for table in seen:
        assert table.record.agents["clerk"].prod is not None
        assert table.record.agents["clerk"].prod.version == f"1.{table.generation - 1}.0"


def test_between_generations_nothing_is_listed(
    released: Any, running: TableWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Semaphore(0)
    listed: list[str] = []
    get = FolderStore.get

    def counted(self: FolderStore, name: str) -> bytes | None:
        if name == table_name(2):
            looked.release()
        return get(self, name)

    def listing(_: FolderStore, prefix: str) -> list[str]:
        listed.append(prefix)
        return []

    monkeypatch.setattr(FolderStore, "list", listing)
    monkeypatch.setattr(FolderStore, "get", counted)
    for _ in range(5):
        assert looked.acquire(timeout=10)
    assert listed == []
