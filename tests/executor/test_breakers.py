"""Breakers in an executor: what fails is left alone, operators are heard within a second, everybody can look."""

import json
import time
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.contracts.routing_table import BreakerOrder, RoutingTable, TableSource
from penstock.routing.publish import next_table, publish
from penstock.testing.executor_world import Running, World, wait_until

MODEL = "models/paced"


def order(world: World, state: Any, reason: str) -> float:
    """Publishes an operator's word; returns when it was in force, by the monotonic clock."""

    def change(current: RoutingTable | None) -> RoutingTable:
        assert current is not None
        source = TableSource(commit=None, kind="breaker", actor="ada@example.org")
        wanted = BreakerOrder(state=state, actor="ada@example.org", reason=reason, at=str(current.generation))
        after = next_table(current, current.agents, current.overlay, source)
        return after.model_copy(update={"breakers": {MODEL: wanted}})

    publish(world.store, change)
    return time.monotonic()


def row(executor: Running) -> dict[str, Any]:
    with executor.client() as client:
        rows: list[dict[str, Any]] = client.get("/v1/breakers").json()["breakers"]
    return next((one for one in rows if one["resource"] == MODEL), {})


def test_an_operators_word_is_in_force_here_at_once(
    shared: World, executor: Running, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert executor.run().status_code == 200
    assert row(executor)["state"] == "closed"
    ordered = order(shared, "open", "it costs too much")
    wait_until(lambda: row(executor)["state"] == "open", what="open", timeout_s=5)
    record_property("seconds", time.monotonic() - ordered)
    refused = executor.run()
    assert refused.status_code == 502
    assert refused.json()["what"] == f"the breaker of {MODEL} was opened by ada@example.org: it costs too much"
    assert refused.json()["now"] == f"`agentctl breaker close {MODEL}` lets calls through again"
    assert main(["breaker", "--server", executor.url]) == 0
    assert f"{MODEL}: open by ada@example.org since" in capsys.readouterr().out
    order(shared, "closed", "it is paid for")
    wait_until(lambda: row(executor)["state"] == "closed", what="closed", timeout_s=5)
    assert executor.run().status_code == 200


def test_what_fails_again_and_again_is_left_alone_until_an_operator_says_otherwise(
    shared: World, executor: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"fault": True}
    wait_until(lambda: fails_until_open(executor, fault), what="open by failures")
    open_row = row(executor)
    assert (open_row["openedBy"], open_row["why"]) == ("failures", "5 failures in a row")
    assert 1 < open_row["retryInS"] <= 30
    refused = executor.run()
    assert refused.json()["what"].startswith(f"the breaker of {MODEL} is open")
    assert main(["breaker", "--server", executor.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["breakers"][0]["state"] == "open"
    order(shared, "closed", "mended")
    wait_until(lambda: executor.run().status_code == 200, what="closed", timeout_s=5)
    with executor.client() as client:
        events = client.get(f"/v1/runs/{refused.json()['runId']}/events").text
    assert "is open" in events


def fails_until_open(executor: Running, fault: dict[str, Any]) -> bool:
    """One run that fails without a retry: its answer was heard in part."""
    with executor.client() as client:
        order = {"input": {"text": "hello", **fault}}
        client.post("/v1/agents/echo/runs?stream=true", json=order)
    return bool(row(executor)["state"] == "open")
