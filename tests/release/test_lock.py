"""Locks: one holder at a time, seen by all, lost by whoever was killed or broken."""

import contextlib
import threading
import time
from pathlib import Path

import pytest

from penstock.errors import Conflict, NotFound
from penstock.release.lock import Lock, acquire, last_record, locked, locks_held, unlock
from penstock.store.objects import ObjectStore, open_objects


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    store = open_objects(str(tmp_path / "releases"))
    store.create("lineage.json", b"{}")
    return store


def test_a_second_holder_is_told_who_holds_it(objects: ObjectStore) -> None:
    with locked(objects, "helper", "canary", "one", about="promote"):
        with pytest.raises(Conflict, match=r"locked by one since .* for promote"):
            acquire(objects, "helper", "canary", "two")
        assert [(one.agent, one.stage, one.owner) for one in locks_held(objects)] == [("helper", "canary", "one")]
        with locked(objects, "helper", "prod", "two"):
            assert len(locks_held(objects)) == 2
    assert locks_held(objects) == []
    acquire(objects, "helper", "canary", "two").require()


def test_an_error_gives_it_back(objects: ObjectStore) -> None:
    with pytest.raises(RuntimeError), locked(objects, "helper", "canary", "one"):
        raise RuntimeError("boom")
    assert locks_held(objects) == []


def test_a_dead_holder_s_lock_is_taken_over_and_the_dead_one_is_fenced(objects: ObjectStore) -> None:
    dead = acquire(objects, "helper", "canary", "dead", ttl_s=-1)
    assert locks_held(objects)[0].has_expired
    alive = acquire(objects, "helper", "canary", "alive")
    with pytest.raises(Conflict, match="lost to alive"):
        dead.require()
    with pytest.raises(Conflict, match="lost to alive"):
        dead.extend()
    dead.release()
    alive.require()
    assert [one.owner for one in locks_held(objects)] == ["alive"]


def test_extending_keeps_it(objects: ObjectStore) -> None:
    lock = acquire(objects, "helper", "canary", "one", ttl_s=60)
    before = lock.record.expires_at
    lock.extend()
    assert lock.record.expires_at > before
    lock.require()
    with pytest.raises(Conflict, match="locked by one"):
        acquire(objects, "helper", "canary", "two")


def test_while_it_is_needed_it_is_extended(objects: ObjectStore) -> None:
    with locked(objects, "helper", "canary", "one", ttl_s=0.3) as lock:
        ends = time.monotonic() + 20
        while lock.number < 4:
            assert time.monotonic() < ends
            threading.Event().wait(0.02)
        lock.require()
    assert locks_held(objects) == []


def test_a_broken_lock_stops_its_holder(objects: ObjectStore) -> None:
    lock = acquire(objects, "helper", "canary", "one")
    assert unlock(objects, "helper", "canary", "ada@example.org", "it hangs").owner == "one"
    with pytest.raises(Conflict, match=r"lost to ada@example\.org"):
        lock.require()
    found = last_record(objects, "helper", "canary")
    assert found is not None
    assert found.reason == "it hangs"
    with pytest.raises(NotFound):
        unlock(objects, "helper", "canary", "ada@example.org", "again")


def test_a_damaged_record_holds_nothing(objects: ObjectStore) -> None:
    objects.create("locks/helper/canary/000000000007.json", b"{")
    assert acquire(objects, "helper", "canary", "one").number == 8


def test_of_many_at_once_one_gets_it(objects: ObjectStore) -> None:
    won: list[Lock] = []
    start = threading.Barrier(8)

    def take(number: int) -> None:
        start.wait(10)
        with contextlib.suppress(Conflict):
            won.append(acquire(objects, "helper", "canary", f"worker {number}"))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(won) == 1
