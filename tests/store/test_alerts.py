from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, update

from penstock.store import tables
from penstock.store.alerts import KEPT, Alert, AlertStore
from penstock.store.database import Database

SLOW = Alert("slow-first-token", "clerk", "warning", "it took long", "prod", "r1", {"value": 2300.0, "limit": 2000.0})


@pytest.fixture
def store(database: Database) -> AlertStore:
    return AlertStore(database)


def test_an_alert_is_kept_as_it_was_found(store: AlertStore) -> None:
    kept, is_new = store.put(SLOW, count=1, quiet_s=600)
    assert is_new
    assert store.recent() == [kept]
    assert {name: kept[name] for name in ("rule", "agent", "severity", "what", "stage", "runId", "value", "limit")} == {
        "rule": "slow-first-token", "agent": "clerk", "severity": "warning", "what": "it took long", "stage": "prod",
        "runId": "r1", "value": 2300.0, "limit": 2000.0,
    }  # fmt: skip
    assert (kept["count"], kept["toldAt"], kept["at"]) == (1, None, kept["firstAt"])


def test_repeats_in_the_quiet_time_count_in_the_first(store: AlertStore, database: Database) -> None:
    first, _ = store.put(SLOW, count=2, quiet_s=600)
    again, is_new = store.put(SLOW, count=3, quiet_s=600)
    assert (again["id"], again["count"], is_new) == (first["id"], 5, False)
    assert store.put(Alert("slow-first-token", "other", "warning", "it took long"), count=1, quiet_s=600)[1]
    with database.write() as connection:
        connection.execute(update(tables.alerts).values(first_at="2026-01-01T00:00:00.000000Z"))
    later, is_new = store.put(SLOW, count=1, quiet_s=600)
    assert is_new
    assert later["id"] != first["id"]


def test_what_several_find_at_once_is_one_alert(store: AlertStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: store.put(SLOW, count=1, quiet_s=600)[1], range(8)))
    assert sorted(found) == [False] * 7 + [True]
    (kept,) = store.recent()
    assert kept["count"] == 8


def test_the_last_thousand_are_kept(store: AlertStore, database: Database) -> None:
    at = "2026-01-01T00:00:00.{:06d}Z"
    rows = [
        {"id": f"old-{number}", "rule": "r", "agent": "a", "severity": "warning", "first_at": at.format(number),
         "at": at.format(number), "count": 1, "told_at": None, "document": "{}"}
        for number in range(KEPT)
    ]  # fmt: skip
    with database.write() as connection:
        connection.execute(tables.alerts.insert(), rows)
    store.put(SLOW, count=1, quiet_s=600)
    with database.read() as connection:
        ids = set(connection.scalars(select(tables.alerts.c.id)))
        assert connection.scalar(select(func.count()).select_from(tables.alerts)) == KEPT
    assert "old-0" not in ids
    assert "old-1" in ids


def test_alerts_are_chosen_by_agent_and_severity(store: AlertStore) -> None:
    store.put(SLOW, count=1, quiet_s=600)
    store.put(Alert("burn-fast", "guide", "error", "it burns"), count=1, quiet_s=600)
    assert [one["agent"] for one in store.recent()] == ["guide", "clerk"]
    assert [one["agent"] for one in store.recent(agent="clerk")] == ["clerk"]
    assert [one["agent"] for one in store.recent(severity="error")] == ["guide"]
    assert len(store.recent(limit=1)) == 1


def test_what_nobody_was_told_of_is_found_until_it_is(store: AlertStore) -> None:
    kept, _ = store.put(SLOW, count=1, quiet_s=600)
    assert [one["id"] for one in store.untold(older_s=0, younger_s=60, limit=9)] == [kept["id"]]
    assert store.untold(older_s=30, younger_s=60, limit=9) == []
    store.mark_told(kept["id"])
    assert store.untold(older_s=0, younger_s=60, limit=9) == []
    assert store.recent()[0]["toldAt"] is not None
