import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Unavailable, WrongUse
from penstock.store import folder
from penstock.store.folder import TEMPORARY, FolderStore
from penstock.store.objects import open_objects
from penstock.testing.disk import RememberingDisk


@pytest.fixture
def objects(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "store"))


def test_an_object_is_created_once_and_read_whole(objects: FolderStore) -> None:
    assert objects.create("a/b/c.json", b"one") is True
    assert objects.create("a/b/c.json", b"two") is False
    assert objects.get("a/b/c.json") == b"one"
    assert objects.get("a/b/none") is None
    assert objects.get("a/b/c.json/below") is None


def test_names_are_listed_below_a_folder_sorted(objects: FolderStore) -> None:
    for name in ("b/2", "b/1", "a/1", "top"):
        objects.create(name, b"x")
    assert objects.list("b/") == ["b/1", "b/2"]
    assert objects.list("") == ["a/1", "b/1", "b/2", "top"]
    assert objects.list("none/") == []


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a//b", "", "a/../b", ".hidden", "a/.tmp-1", "a\nb", "a/"])
def test_a_name_that_leaves_the_store_is_refused(objects: FolderStore, name: str) -> None:
    with pytest.raises(WrongUse):
        objects.create(name, b"x")
    with pytest.raises(WrongUse):
        objects.get(name)


def test_a_hint_may_be_replaced(objects: FolderStore) -> None:
    objects.replace_hint("routing/current.json", b"1")
    objects.replace_hint("routing/current.json", b"2")
    assert objects.get("routing/current.json") == b"2"


def test_a_missing_folder_is_no_empty_store(objects: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no release store here"):
        objects.list("")
    with pytest.raises(Unavailable, match="no release store here"):
        objects.get("x")
    objects.create("x", b"1")
    (tmp_path / "store").rename(tmp_path / "away")
    with pytest.raises(Unavailable, match="bring it back"):
        objects.get("x")
    with pytest.raises(Unavailable):
        objects.create("new/y", b"1")
    assert not (tmp_path / "store").exists()
    (tmp_path / "away").rename(tmp_path / "store")
    assert objects.get("x") == b"1"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_leaves_nothing_and_says_why(
    objects: FolderStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    objects.create("a/first", b"1")

    def fails(*_: Any) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr("penstock.store.folder.os.write", fails)
        with pytest.raises(Unavailable, match=os.strerror(code)) as caught:
            objects.create("a/second", b"2")
    assert caught.value.exit_code == 3
    assert os.listdir(os.path.join(objects.url, "a")) == ["first"]
    assert objects.create("a/second", b"2") is True


def test_a_short_write_is_written_to_its_end(objects: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("penstock.store.folder.os.write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    data = os.urandom(100)
    objects.create("a", data)
    assert objects.get("a") == data


def test_leftovers_are_not_listed_and_old_ones_are_swept(objects: FolderStore) -> None:
    objects.create("a/one", b"1")
    place = Path(objects.url, "a")
    old, fresh = place / f"{TEMPORARY}1-old", place / f"{TEMPORARY}2-fresh"
    for leftover in (old, fresh):
        leftover.write_bytes(b"half")
    hours_ago = time.time() - 7200
    os.utime(old, (hours_ago, hours_ago))
    other = FolderStore(objects.url)
    assert other.list("") == ["a/one"]
    other.create("a/two", b"2")
    assert not old.exists()
    assert fresh.exists()


def test_of_many_creators_exactly_one_wins(objects: FolderStore) -> None:
    won: list[int] = []
    barrier = threading.Barrier(16)

    def create(number: int) -> None:
        own = FolderStore(objects.url)
        barrier.wait()
        if own.create("routing/000000000001.json", str(number).encode() * 1000):
            won.append(number)

    threads = [threading.Thread(target=create, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert objects.get("routing/000000000001.json") == str(won[0]).encode() * 1000


def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a loss of power after each call would cost: acknowledged objects that are gone, names of half objects."""
    disk = RememberingDisk(tmp_path)
    monkeypatch.setattr(folder, "os", disk)
    objects = FolderStore(str(tmp_path / "deep" / "store"))
    written = {f"kind{number % 2}/{number}": f"{number}".encode() * 50 for number in range(4)}
    acknowledged: dict[int, str] = {}
    for name, data in written.items():
        assert objects.create(name, data)
        acknowledged[len(disk.states)] = name
        objects.replace_hint("hint", data)
    found = []
    for at, state in enumerate(disk.states, start=1):
        for moment, name in acknowledged.items():
            if moment <= at and state[False].get(f"deep/store/{name}") != written[name]:
                found.append(f"lost: {name} after call {at}")
        for path, data in state[True].items():
            name = path.removeprefix("deep/store/")
            if TEMPORARY not in path and data not in ([written[name]] if name in written else written.values()):
                found.append(f"torn: {name} after call {at}")
    assert len(disk.states) > 40
    return found


def test_what_was_acknowledged_survives_a_loss_of_power_and_nothing_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert losses(tmp_path, monkeypatch) == []


def test_the_same_check_finds_the_loss_of_a_build_without_flushing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(RememberingDisk, "_after_fsync", lambda *_: None)
    found = losses(tmp_path, monkeypatch)
    assert any(loss.startswith("lost") for loss in found)
    assert any(loss.startswith("torn") for loss in found)


def test_the_same_check_finds_a_folder_that_is_not_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_flush_folder", lambda path: None)
    found = losses(tmp_path, monkeypatch)
    assert found
    assert all(loss.startswith("lost") for loss in found)


def test_urls_choose_the_kind_of_store(tmp_path: Path) -> None:
    assert open_objects(str(tmp_path)).url == str(tmp_path)
    assert open_objects(f"file://{tmp_path}").url == str(tmp_path)
    with pytest.raises(WrongUse, match="no such kind"):
        open_objects("ftp://somewhere/store")
