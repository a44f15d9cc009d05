"""Alerts are kept, told once, and survive a database or an endpoint that is away."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from penstock.contracts.operations_alerts import DEFAULT_ALERTS, Alerts
from penstock.errors import Unavailable
from penstock.executor.telemetry import alert_desk
from penstock.executor.telemetry.alert_desk import AlertDesk
from penstock.executor.telemetry.alert_teller import AlertTeller
from penstock.executor.telemetry.alert_watch import AlertWatch
from penstock.routing import RoutingTable
from penstock.store import tables
from penstock.store.alerts import Alert, AlertStore
from penstock.store.clock import now
from penstock.store.database import Database, open_database
from penstock.store.runs import RunStore
from penstock.testing.executor_world import World, make_world
from penstock.testing.receiver import Receiver

NOW = datetime.now(UTC)
FAILED = Alert("tool-failed", "echo", "warning", "tool weather failed: timeout", "prod", "r1", {"value": 1, "limit": 0})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("alerts") / "project")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Receiver() as made:
        yield made


class Link:
    """A database that can be away."""

    def __init__(self, database: Database) -> None:
        self.is_away = False
        self._database = database

    def __call__(self) -> Database:
        if self.is_away:
            raise Unavailable("the database is away")
        return self._database


def make_desk(world: World, link: Link, url: str = "", alerts: Alerts = DEFAULT_ALERTS) -> AlertDesk:
    record = world.store.newest_table()
    assert record is not None
    table = RoutingTable(record)
    return AlertDesk(alerts, AlertTeller(url), AlertWatch(alerts, lambda: table, world.store.get_release), link)


def event(**data: Any) -> dict[str, Any]:
    told = {"rule": "tool-failed", "when": "tool-failed", "severity": "warning", "what": "it failed", **data}
    return {"type": "alert.raised", "agent": "echo", "stage": "prod", "runId": "r1", "tenant": "acme", "data": told}


def test_an_alert_of_a_run_is_kept_and_told_once(world: World, database: Database, receiver: Receiver) -> None:
    desk = make_desk(world, Link(database), receiver.url)
    desk.observe({**event(), "type": "run.finished"})
    for _ in range(3):
        desk.observe(event(value=1, limit=0))
    desk.turn()
    desk.observe(event())
    desk.turn()
    (kept,) = AlertStore(database).recent()
    assert (kept["rule"], kept["agent"], kept["count"], kept["runId"]) == ("tool-failed", "echo", 4, "r1")
    assert kept["toldAt"] is not None
    (told,) = receiver.events
    assert (told["type"], told["subject"], told["id"]) == ("dev.penstock.alert.raised", "echo", kept["id"])
    assert (told["data"]["what"], told["data"]["count"]) == ("it failed", 3)
    assert "acme" not in str(told)
    assert desk.recorded == {("tool-failed", "warning"): 4}


def a_minute_later(database: Database) -> None:
    """Who looks over all runs next is due to."""
    with database.write() as connection:
        connection.execute(update(tables.duties).values(due=now()))


def test_an_endpoint_that_is_away_is_told_later_by_whoever_looks(
    world: World, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_desk, "RETELL_S", 0.0)
    receiver.answers.extend([403])
    one, two = make_desk(world, Link(database), receiver.url), make_desk(world, Link(database), receiver.url)
    one.take(FAILED)
    one.turn()
    (kept,) = AlertStore(database).recent()
    assert kept["toldAt"] is None
    a_minute_later(database)
    two.turn()
    (kept,) = AlertStore(database).recent()
    assert kept["toldAt"] is not None
    assert [told["id"] for told in receiver.events] == [kept["id"]] * 2


def test_without_the_database_alerts_are_told_and_kept_later(
    world: World, database: Database, receiver: Receiver
) -> None:
    link = Link(database)
    desk = make_desk(world, link, receiver.url)
    link.is_away = True
    for _ in range(2):
        desk.take(FAILED)
        desk.turn()
    assert len(receiver.events) == 1
    link.is_away = False
    desk.turn()
    (kept,) = AlertStore(database).recent()
    assert (kept["count"], kept["toldAt"] is not None, len(receiver.events)) == (2, True, 1)


def test_a_full_queue_drops_and_counts(world: World, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_desk, "QUEUE", 2)
    desk = make_desk(world, Link(database))
    for _ in range(5):
        desk.take(FAILED)
    assert desk.dropped == 3


def add_runs(database: Database, status: str, count: int, *, minutes: float, cost_usd: float = 0.0) -> None:
    at = (NOW - timedelta(minutes=minutes)).isoformat()
    RunStore(database).ingest(
        {
            "kind": "run",
            "run": {
                "runId": f"{status}-{minutes}-{number}", "agent": "echo", "version": "1.0.0", "release": "d",
                "stage": "prod", "mode": "live", "status": status, "startedAt": at, "durationMs": 1.0,
                "usage": {"costUsd": cost_usd},
            },
        }
        for number in range(count)
    )  # fmt: skip


def test_one_executor_finds_that_a_budget_burns(world: World, database: Database) -> None:
    add_runs(database, "failed", 8, minutes=1)
    add_runs(database, "finished", 12, minutes=1)
    one, two = make_desk(world, Link(database)), make_desk(world, Link(database))
    one.turn()
    two.turn()
    found = {alert["rule"]: alert for alert in AlertStore(database).recent()}
    assert sorted(found) == ["burn-fast", "burn-slow"]
    assert found["burn-fast"]["severity"] == "error"
    assert (found["burn-fast"]["value"], found["burn-fast"]["limit"], found["burn-fast"]["stage"]) == (40, 14.4, "prod")
    assert "8 of 20 runs in 1h, 8 of 20 runs in 5m" in found["burn-fast"]["what"]
    assert {alert["count"] for alert in found.values()} == {1}  # the second one was not due


def test_an_hour_that_costs_more_than_the_usual_one(world: World, database: Database) -> None:
    for hour in range(2, 28):
        add_runs(database, "finished", 1, minutes=hour * 60, cost_usd=1.0 + hour % 2)
    desk = make_desk(world, Link(database))
    add_runs(database, "finished", 1, minutes=5, cost_usd=4.4)
    desk.turn()
    assert AlertStore(database).recent() == []
    add_runs(database, "finished", 1, minutes=6, cost_usd=4.4)
    desk._next_watch = 0.0
    a_minute_later(database)
    desk.turn()
    (kept,) = AlertStore(database).recent()
    assert (kept["rule"], kept["value"], kept["limit"]) == ("cost-anomaly", 8.8, 4.5)


def test_of_a_young_agent_no_hour_is_unusual(world: World, database: Database) -> None:
    for hour in range(2, 12):
        add_runs(database, "finished", 1, minutes=hour * 60, cost_usd=0.01)
    add_runs(database, "finished", 1, minutes=5, cost_usd=9.0)
    make_desk(world, Link(database)).turn()
    assert AlertStore(database).recent() == []
