"""Money from HTTP to the command line, on one executor in this process."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.cli.main import main
from penstock.executor.app import build_app
from penstock.executor.executor import Executor
from penstock.settings import Settings, load_settings
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.executor_world import World, in_prod, make_world
from penstock.testing.paced_executor import PacedProvider

OPERATIONS = """\
apiVersion: penstock.dev/v1
kind: Operations
metadata: {name: default}
spec:
  budgets:
    agents: {echo: {day: {softUsd: 0.002, hardUsd: 0.004}}}
"""
PRICE = 1_000.0  # USD for 1,000,000 tokens: a word costs 0.001 USD
Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def priced(tmp_path: Path) -> World:
    """A project whose agent costs 0.001 USD a word, with at most one word an answer, and 0.004 USD a day."""
    world = make_world(tmp_path / "project")
    release = world.release("echo", "1.0.1", parameters={"maxTokens": 1}, output_usd=PRICE)
    world.publish(echo=in_prod("1.0.1", release))
    (world.root / "pipelines").mkdir()
    (world.root / "pipelines/operations.yaml").write_text(OPERATIONS)
    return world


@pytest.fixture
async def client(priced: World) -> AsyncIterator[httpx.AsyncClient]:
    settings = load_settings(priced.root)
    async with Executor(settings, provider=PacedProvider(None)) as executor:
        transport = httpx.ASGITransport(build_app(executor), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as opened:
            yield opened


@pytest.fixture
def ask(priced: World, capfd: pytest.CaptureFixture[str]) -> Ask:
    def agentctl(*words: str) -> tuple[int, Any]:
        capfd.readouterr()
        status = main(["--project", str(priced.root), *words, "--json"])
        return status, json.loads(capfd.readouterr().out)

    return agentctl


async def run(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/agents/echo/runs", json={"input": {"text": "hello"}})


async def spend_it_all(client: httpx.AsyncClient, world: World) -> httpx.Response:
    """Runs until the budget refuses; the refusal."""
    for _ in range(4):
        assert (await run(client)).status_code == 200
    return await run(client)


async def test_a_refusal_is_a_problem_that_shows_the_ledger(client: httpx.AsyncClient, priced: World) -> None:
    refused = await spend_it_all(client, priced)
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (429, "urn:penstock:problem:run-rejected:budget")
    assert "retry-after" in refused.headers
    assert "the budget of agent:echo for" in problem["what"]
    assert problem["ledger"][0]["limitUsd"] == 0.004
    assert [line["amountUsd"] for line in problem["ledger"][1:]] == [0.001] * (len(problem["ledger"]) - 1)
    standing = (await client.get("/v1/budgets")).json()["budgets"]
    echo = [row for row in standing if row["holder"] == "agent:echo" and len(row["period"]) == 10]
    assert [(row["softUsd"], row["hardUsd"], row["leftUsd"]) for row in echo] == [(0.002, 0.004, 0.0)]


async def test_changed_budgets_hold_without_a_restart(client: httpx.AsyncClient, priced: World) -> None:
    assert (await spend_it_all(client, priced)).status_code == 429
    (priced.root / "pipelines/next").write_text(OPERATIONS.replace("0.004", "0.005"))
    (priced.root / "pipelines/next").rename(priced.root / "pipelines/operations.yaml")
    async with asyncio.timeout(20):
        while (await run(client)).status_code != 200:
            await asyncio.to_thread(time.sleep, 0.02)


def test_commands_show_and_correct_what_was_spent(priced: World, ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    """Two processes' worth of runs: each `agentctl run` gives back what it did not need."""
    for _ in range(2):
        asyncio.run(_one_run(load_settings(priced.root)))
    status, shown = ask("budget")
    echo = next(row for row in shown["budgets"] if row["holder"] == "agent:echo" and len(row["period"]) == 10)
    assert (status, echo["spentUsd"], echo["heldUsd"], echo["leftUsd"]) == (0, 0.002, 0.0, 0.002)
    assert {row["holder"] for row in shown["budgets"]} == {"agent:echo", "team:qa-platform"}
    status, book = ask("budget", "ledger", "team:qa-platform")
    assert (status, book["sums"]["spentUsd"], [line["kind"] for line in book["lines"]]) == (0, 0.002, ["call"] * 2)
    assert ask("budget", "ledger", "nobody")[0] == 2
    for by in ("agent", "version", "team", "tenant", "run", "model", "day"):
        status, table = ask("cost", "--by", by)
        assert (status, table["total"]["costUsd"], table["total"]["runs"]) == (0, 0.002, 2)
        assert sum(row["costUsd"] for row in table["rows"]) == 0.002
    drawing = priced.root / "cost.svg"
    assert main(["--project", str(priced.root), "cost", "--plot", str(drawing)]) == 0
    assert "echo" in capfd.readouterr().out
    assert drawing.read_text().startswith("<svg ")
    assert ask("cost", "--plot", "cost.png")[0] == 2


async def _one_run(settings: Settings) -> None:
    async with Executor(settings, provider=PacedProvider(None)) as executor:
        transport = httpx.ASGITransport(build_app(executor), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            assert (await run(client)).status_code == 200


async def test_what_runs_cost_is_the_sum_of_their_calls(client: httpx.AsyncClient, priced: World) -> None:
    for _ in range(3):
        await run(client)
    rows: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while len(rows) < 3:
            rows = (await client.get("/v1/cost", params={"by": "run"})).json()["rows"]
    database = open_database(load_settings(priced.root).database)
    for row in rows:
        events = RunStore(database).events(row["key"])
        calls = [event["data"] for event in events if event["type"] == "llm.finished"]
        assert row["costUsd"] == sum(call["costUsd"] for call in calls) == 0.001
        assert row["totalTokens"] == sum(call["usage"]["totalTokens"] for call in calls)
    database.close()
