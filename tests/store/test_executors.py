from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from penstock.store import tables
from penstock.store.clock import moment
from penstock.store.database import Database
from penstock.store.executors import LONGEST, Beat, ExecutorStore


def beat(number: int, **more: object) -> Beat:
    said = Beat(f"id-{number}", f"http://127.0.0.1:{8080 + number}", "host-a", 4_000 + number, "0.1.0")
    return replace(said, **more)  # type: ignore[arg-type]


@pytest.fixture
def executors(database: Database) -> ExecutorStore:
    return ExecutorStore(database)


def age(database: Database, identity: str, at: str) -> None:
    with database.write() as connection:
        connection.execute(update(tables.executors).where(tables.executors.c.id == identity).values(at=at))


def test_a_beat_comes_back_and_the_next_takes_its_place(executors: ExecutorStore) -> None:
    assert executors.heard() == []
    executors.enter(beat(1))
    [first] = executors.heard()
    assert first.beat == beat(1)
    assert 0 <= first.ago_s < 20
    newer = beat(1, lineage="L", generation=2**40, table_age_s=0.2, problem="x" * 9_999)
    executors.put(newer)
    [second] = executors.heard()
    assert second.beat == replace(newer, problem="x" * LONGEST)


def test_who_ends_is_gone(executors: ExecutorStore) -> None:
    for number in (1, 2):
        executors.enter(beat(number))
    executors.remove("id-1")
    executors.remove("id-1")
    assert [one.beat.id for one in executors.heard()] == ["id-2"]


def test_a_process_takes_over_the_address_of_one_that_died(executors: ExecutorStore) -> None:
    executors.enter(beat(1))
    executors.enter(beat(1, id="elsewhere", host="host-b"))
    executors.enter(beat(1, id="restarted", pid=5_000))
    assert sorted(one.beat.id for one in executors.heard()) == ["elsewhere", "restarted"]


def test_who_was_silent_for_a_day_is_forgotten(executors: ExecutorStore, database: Database) -> None:
    executors.enter(beat(1))
    age(database, "id-1", "2026-01-01T00:00:00.000000Z")
    assert executors.heard() == []
    executors.enter(beat(2))
    with database.read() as connection:
        assert [row.id for row in connection.execute(tables.executors.select())] == ["id-2"]


def test_silence_is_counted(executors: ExecutorStore, database: Database) -> None:
    executors.enter(beat(1))
    with database.read() as connection:
        said = datetime.fromisoformat(connection.execute(select(tables.executors.c.at)).scalar_one())
    age(database, "id-1", moment((said - timedelta(minutes=1)).isoformat()))
    [one] = executors.heard()
    assert 60 <= one.ago_s < 90


def test_many_at_once(executors: ExecutorStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: executors.put(beat(number % 4, generation=number)), range(40)))
    assert [one.beat.id for one in executors.heard()] == [f"id-{number}" for number in range(4)]
