import threading
from typing import Any

import pytest
from sqlalchemy import event

from penstock.errors import Unavailable
from penstock.store.database import Database, open_database
from penstock.store.trials import MemoryTrials, TrialRow, TrialStore

EARLY, LATE, LATER = (f"2026-11-20T1{hour}:00:00.000000Z" for hour in (0, 1, 2))


def row(key: str, at: str = LATE, output: Any = "said") -> TrialRow:
    return (key, "sha256:release", at, {"output": output, "key": key})


@pytest.fixture
def store(database: Database) -> TrialStore:
    return TrialStore(database)


def test_what_was_put_is_found_by_key(store: TrialStore) -> None:
    body = {"text": "null byte \x00, emoji \U0001f600", "n": 1.5}
    store.put([row("a", output=body), row("b")])
    found = store.find(["a", "b", "c"], EARLY)
    assert {key: one["output"] for key, one in found.items()} == {"a": body, "b": "said"}
    store.put([])
    assert store.find([], EARLY) == {}


def test_a_trial_older_than_asked_for_is_not_found(store: TrialStore) -> None:
    store.put([row("old", EARLY), row("new", LATE)])
    assert set(store.find(["old", "new"], LATE)) == {"new"}
    assert set(store.find(["old", "new"], LATER)) == set()


def test_the_newest_trial_of_a_key_stays(store: TrialStore) -> None:
    store.put([row("a", LATE, "second")])
    store.put([row("a", EARLY, "first")])
    assert store.find(["a"], EARLY)["a"]["output"] == "second"
    store.put([row("a", LATER, "third")])
    assert store.find(["a"], EARLY)["a"]["output"] == "third"


def test_scores_are_found_whatever_their_age_until_they_are_pruned(store: TrialStore) -> None:
    store.put_scores([("s", EARLY, {"value": True}), ("t", LATE, {"value": 0.5})])
    store.put([row("a", EARLY), row("b", LATE)])
    assert store.find_scores(["s", "t", "u"]) == {"s": {"value": True}, "t": {"value": 0.5}}
    assert store.prune(LATE) == 2
    assert (set(store.find_scores(["s", "t"])), set(store.find(["a", "b"], EARLY))) == ({"t"}, {"b"})


def test_thousands_of_keys_are_one_question(store: TrialStore) -> None:
    rows = [row(f"k{i}") for i in range(2_500)]
    store.put(rows)
    assert len(store.find([f"k{i}" for i in range(3_000)], EARLY)) == 2_500


def test_two_that_write_the_same_keys_in_other_orders_both_end(database: Database) -> None:
    rows = [row(f"k{i:03}") for i in range(200)]
    problems: list[BaseException] = []

    def write(mine: list[TrialRow]) -> None:
        store = TrialStore(database)
        try:
            for start in range(0, len(mine), 50):
                store.put(mine[start : start + 50])
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=write, args=(order,)) for order in (rows, rows[::-1], rows[50:] + rows[:50])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(TrialStore(database).find([one[0] for one in rows], EARLY)) == 200


def test_a_full_disk_is_an_error_and_keeps_what_was_there(tmp_path: Any) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    store = TrialStore(database)
    store.put([row("kept")])

    @event.listens_for(database.engine, "connect")
    def _fill(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    database.engine.dispose()
    with pytest.raises(Unavailable, match="full"):
        store.put([row(f"k{i}", output="x" * 4_000) for i in range(100)])
    event.remove(database.engine, "connect", _fill)
    database.engine.dispose()
    assert set(store.find([f"k{i}" for i in range(100)] + ["kept"], EARLY)) == {"kept"}
    database.close()


def test_memory_keeps_the_same() -> None:
    store = MemoryTrials()
    store.put([row("a", EARLY), row("b", LATE)])
    store.put_scores([("s", EARLY, {"value": 1.0})])
    assert set(store.find(["a", "b", "c"], LATE)) == {"b"}
    assert store.find_scores(["s", "x"]) == {"s": {"value": 1.0}}
    assert store.prune(LATE) == 1
    assert set(store.find(["a", "b"], EARLY)) == {"b"}
