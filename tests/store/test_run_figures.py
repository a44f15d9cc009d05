import math
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.store import tables
from penstock.store.clock import moment
from penstock.store.database import Database
from penstock.store.run_figures import HourCost, RunFigures, Tally
from penstock.store.runs import RunStore

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
Add = Callable[..., None]


Adding = Callable[[Callable[[Add], object]], None]


@pytest.fixture
def added(database: Database) -> Adding:
    """Stores the runs that a function adds, all at once."""

    def put(tell: Callable[[Add], object]) -> None:
        records: list[dict[str, Any]] = []

        def add(status: str = "finished", *, ago_s: float = 60.0, cost_usd: float | None = 0.0, **more: Any) -> None:
            run = {
                "runId": f"r{len(records)}", "agent": "clerk", "version": "1.0.0", "release": "d", "stage": "prod",
                "mode": "live", "status": status, "startedAt": ago(seconds=ago_s), "durationMs": 100.0,
                "usage": {"costUsd": cost_usd}, **more,
            }  # fmt: skip
            records.append({"kind": "run", "run": run})

        tell(add)
        RunStore(database).ingest(records)

    return put


def ago(**of: float) -> str:
    return (NOW - timedelta(**of)).isoformat()


def test_runs_of_several_windows_are_counted_at_once(database: Database, added: Adding) -> None:
    def tell(add: Add) -> None:
        for status in ("finished", "failed", "timed_out", "cancelled", "rejected"):
            add(status)
            add(status, ago_s=1_800)
        add("failed", agent="other")
        add("failed", stage="canary")
        add("failed", mode="eval")
        add("finished", ago_s=90_000)

    added(tell)
    found = RunFigures(database).tallies("clerk", "prod", [ago(minutes=5), ago(hours=1), ago(days=2)])
    assert found == [Tally(3, 1), Tally(6, 2), Tally(7, 3)]
    assert [tally.failed for tally in found] == [2, 4, 4]
    assert RunFigures(database).tallies("nobody", "prod", [ago(hours=1)]) == [Tally(0, 0)]


def test_costs_are_summed_by_the_hour(database: Database, added: Adding) -> None:
    def tell(add: Add) -> None:
        for ago_s, cost in ((60, 1.0), (1_700, 2.0), (1_900, 4.0), (7_300, 8.0), (7_300, None)):
            add(ago_s=ago_s, cost_usd=cost)
        add(ago_s=60, cost_usd=99.0, stage="dev")

    added(tell)
    figures = RunFigures(database)
    assert figures.hourly_costs("clerk", ["canary", "prod"], ago(hours=9), NOW.isoformat()) == [
        HourCost("2026-11-20T10", 8.0),
        HourCost("2026-11-20T11", 4.0),
        HourCost("2026-11-20T12", 3.0),
    ]
    assert figures.cost_usd("clerk", ["canary", "prod"], ago(minutes=30)) == 3.0
    assert figures.cost_usd("nobody", ["prod"], ago(hours=1)) == 0.0


def test_the_summary_is_that_of_the_runs_one_by_one(database: Database, added: Adding) -> None:
    chance = random.Random(5)
    durations = [chance.uniform(1, 5_000) for _ in range(137)]

    def tell(add: Add) -> None:
        for number, duration in enumerate(durations):
            add("failed" if number % 10 == 0 else "finished", durationMs=duration, cost_usd=0.25)
        add("rejected", durationMs=0.1)
        add("finished", agent="other", durationMs=9e9)

    added(tell)
    found = RunFigures(database).summary(ago(hours=1), agent="clerk").as_document()
    ranked = sorted(durations)
    assert found["totalRequests"] == 138
    assert found["byStatus"] == {"failed": 14, "finished": 123, "rejected": 1}
    assert found["successRate"] == 123 / 137
    assert found["avgLatency"] == pytest.approx(sum(durations) / 137)
    for share in (50, 95, 99):
        assert found[f"p{share}Latency"] == ranked[math.ceil(share / 100 * 137) - 1]
    assert (found["totalCost"], found["avgCostPerRequest"]) == (137 * 0.25, 137 * 0.25 / 138)
    assert (found["units"], found["runsWithoutPrice"]) == ({"latency": "ms", "cost": "USD"}, 0)


def test_an_unknown_price_is_no_cost_of_nothing(database: Database, added: Adding) -> None:
    def tell(add: Add) -> None:
        add(cost_usd=0.5)
        add(cost_usd=None)

    added(tell)
    found = RunFigures(database).summary(ago(hours=1)).as_document()
    assert (found["totalCost"], found["avgCostPerRequest"]) == (None, None)
    assert (found["knownCost"], found["runsWithoutPrice"]) == (0.5, 1)


def test_what_online_scorers_gave_is_in_the_summary(database: Database) -> None:
    form = {"identity": "i", "agent": "clerk", "release": "d", "stage": "prod", "cost_usd": 0.0, "document": "{}"}
    rows: list[dict[str, Any]] = [
        {"run_id": "a", "scorer": "hallucination", "state": "scored", "value": 1.0, "at": ago(minutes=5)},
        {"run_id": "b", "scorer": "hallucination", "state": "scored", "value": 0.5, "at": ago(minutes=5)},
        {"run_id": "c", "scorer": "hallucination", "state": "failed", "value": None, "at": ago(minutes=5)},
        {"run_id": "d", "scorer": "hallucination", "state": "scored", "value": 0.0, "at": ago(hours=5)},
        {"run_id": "a", "scorer": "quality", "state": "scored", "value": 0.7, "at": ago(minutes=5)},
    ]
    with database.write() as connection:
        connection.execute(tables.run_scores.insert(), [{**form, **row, "at": moment(row["at"])} for row in rows])
    found = RunFigures(database).summary(ago(hours=1), agent="clerk", stage="prod").as_document()
    assert found["scores"] == {"hallucination": {"n": 2, "mean": 0.75}, "quality": {"n": 1, "mean": 0.7}}
    assert found["hallucinationRate"] == 0.25
    assert RunFigures(database).summary(ago(hours=1), agent="other").scores == {}


def test_of_no_run_there_is_no_figure(database: Database) -> None:
    found = RunFigures(database).summary(ago(hours=1), stage="prod").as_document()
    assert found["totalRequests"] == 0
    assert {name for name, value in found.items() if value is None} == {
        "successRate", "hallucinationRate", "avgLatency", "p50Latency", "p95Latency", "p99Latency", "avgCostPerRequest"
    }  # fmt: skip
