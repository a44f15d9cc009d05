import random
from typing import Any

from penstock.store.cost import DIMENSIONS, CostStore
from penstock.store.database import Database
from penstock.store.runs import RunStore

SINCE = "2026-11-01T00:00:00Z"


def stored(number: int, cost_usd: float | None = 0.001, **more: Any) -> dict[str, Any]:
    """A run's last record as an executor spools it."""
    usage = {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15, "costUsd": cost_usd}
    models = {
        f"models/m{number % 2}@1.0.0": {**usage, "costUsd": cost_usd or 0.0, "unpricedCalls": int(cost_usd is None)}
    }
    run = {
        "runId": f"run-{number}",
        "agent": f"agent-{number % 3}",
        "version": f"1.{number % 2}.0",
        "release": "sha256:" + "a" * 64,
        "stage": "prod",
        "mode": "live",
        "status": "finished",
        "team": f"team-{number % 4}",
        "tenant": "acme" if number % 5 else None,
        "startedAt": f"2026-11-{number % 20 + 1:02}T10:00:00.000000Z",
        "durationMs": 100.0,
        "usage": usage,
        "models": models,
        **more,
    }
    return {"kind": "run", "run": run}


def test_every_dimension_comes_to_the_same_number(database: Database) -> None:
    costs = [round(random.uniform(0, 0.1), 9) for _ in range(200)]
    statuses = ("finished", "failed", "cancelled", "timed_out")
    runs = [stored(number, cost, status=statuses[number % 4]) for number, cost in enumerate(costs)]
    RunStore(database).ingest([*runs, stored(900, 9.0, status="rejected"), stored(901, 9.0, mode="eval")])
    exact = sum(round(cost * 1e9) for cost in costs)
    for by in DIMENSIONS:
        table = CostStore(database).table(by, SINCE)
        assert (table.total.nano, table.total.runs) == (exact, 200)
        assert sum(row.nano for row in table.rows) == exact
        assert sum(row.prompt_tokens + row.completion_tokens for row in table.rows) == 200 * 15
    assert CostStore(database).table("agent", SINCE, only={"team": "team-0"}).total.runs == 50
    assert CostStore(database).table("day", "2026-11-20T00:00:00Z").rows[0].key == "2026-11-20"
    assert CostStore(database).table("agent", SINCE, mode="eval").total.nano == 9_000_000_000


def test_a_run_without_a_price_is_counted_and_never_nothing(database: Database) -> None:
    RunStore(database).ingest([stored(0, 0.25), stored(60, None)])
    for by in DIMENSIONS:
        table = CostStore(database).table(by, SINCE)
        assert (table.total.unpriced, table.total.nano, table.total.runs) == (1, 250_000_000, 2)
        assert table.total.as_document()["isAtLeast"] is True
        assert sum(row.unpriced for row in table.rows) == 1


def test_runs_of_before_say_that_their_models_are_not_known(database: Database) -> None:
    old = stored(1)
    del old["run"]["models"]
    RunStore(database).ingest([old])
    assert [row.key for row in CostStore(database).table("model", SINCE).rows] == ["(not known)"]
