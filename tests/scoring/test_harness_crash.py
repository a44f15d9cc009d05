"""A process of its own measures; it is killed, interrupted, or has a twin: nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select, text

from penstock.store import tables
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.executor_world import wait_until
from penstock.testing.model_server import ModelServer

CASES, AT_ONCE = 120, 4
RUNTIME = """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0"
  adapter: direct
  capabilities: {modes: [workflow], toolCalling: true, maxContextTokens: 100000}
  limits: {concurrentRuns: 100}
"""
# The model is asked by a plain client: the model library's import would be most of the test's time.
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
import aiohttp
from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.pal import ModelAnswer, Usage
from penstock.registry.load import load_registry
from penstock.registry.resolve import Resolved
from penstock.registry.source import TreeSource
from penstock.scoring.budget import Budget
from penstock.scoring.case_set import EvalCase
from penstock.scoring.harness import Bounds, measure
from penstock.scoring.rig import open_rig
from penstock.settings import Settings
from penstock.testing.example_release import example_release

root, url, count, at_once = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

class Provider:
    async def complete(self, call):
        body = {"model": call.model, "messages": list(call.messages)}
        async with session.post(url + "/chat/completions", json=body) as response:
            answer = await response.json()
        said = answer["choices"][0]["message"]["content"]
        return ModelAnswer(said, (), Usage(answer["usage"]["prompt_tokens"], 5, 0.001))

async def main():
    global session
    written = [{"id": str(i), "input": f"What is {i}?"} for i in range(count)]
    cases = [EvalCase("set", Case.model_validate(one), digest(one)) for one in written]
    release, body = example_release(model={"model": "qa-rules+latency-20"})
    settings = Settings(root=root, default_runtime="direct", database_url=sys.argv[5])
    registry = load_registry(TreeSource(root), default_runtime="direct")
    async with aiohttp.ClientSession() as session, open_rig(settings, registry, provider=Provider()) as rig:
        subject = rig.subject(Resolved(release, {release.prompt.body: body}))
        print("measuring", flush=True)
        measured = await measure(subject, cases, Bounds(1, at_once, {}, Budget(10.0, 5.0)), rig.store)
    print(json.dumps({
        "made": measured.made, "reused": measured.reused, "problems": len(measured.problems),
        "outputs": [trial.output for trial in measured.trials],
        "cost": round(sum(trial.cost_usd for trial in measured.trials), 6),
        "runs": [trial.run_id for trial in measured.trials],
    }))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


class World:
    """A project whose cases are measured by processes of their own."""

    def __init__(self, root: Path, server: ModelServer, database_url: str = "") -> None:
        self.root, self.server = root, server
        self.database_url = database_url or f"sqlite:///{root / '.penstock/store.db'}"
        (root / "runtimes").mkdir(parents=True)
        (root / "runtimes/direct.yaml").write_text(RUNTIME)

    def start(self) -> "subprocess.Popen[str]":
        words = [sys.executable, "-c", SCRIPT, str(self.root), self.server.url, str(CASES), str(AT_ONCE)]
        words.append(self.database_url)
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "measuring\n", process.communicate()[1]
        return process

    def finished(self, process: "subprocess.Popen[str] | None" = None) -> dict[str, Any]:
        process = process or self.start()
        assert process.stdout is not None
        assert process.stderr is not None
        with process:
            out = process.stdout.read()  # `communicate` would lose what `readline` had read beyond its line
            assert process.wait(60) == 0, process.stderr.read()
        found: dict[str, Any] = json.loads(out)
        return found

    def rows(self) -> int:
        database = open_database(self.database_url)
        with database.read() as connection:
            count = connection.scalar(select(func.count()).select_from(tables.trials))
        database.close()
        return int(count or 0)

    def wait_for_rows(self, count: int) -> None:
        wait_until(lambda: self.rows() >= count, what=f"{count} rows", timeout_s=30)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest, tmp_path: Path, server: ModelServer) -> Iterator[World]:
    if request.param == "sqlite":
        yield World(tmp_path / "project", server)
        return
    name = f"penstock_harness_{os.getpid()}"
    postgres = os.environ.get("PENSTOCK_TEST_POSTGRES")
    assert postgres, "PENSTOCK_TEST_POSTGRES must be the URL of a PostgreSQL that tests may make databases in"
    engine = create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}"'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = engine.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    yield World(tmp_path / "project", server, url)
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


def test_a_killed_process_loses_at_most_a_group_and_the_next_runs_exactly_what_is_missing(
    world: World, tmp_path: Path, server: ModelServer
) -> None:
    killed = world.start()
    world.wait_for_rows(10)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    answered_before = server.statistics.requests
    kept = world.rows()
    assert 10 <= kept < CASES
    again = world.finished()
    assert (again["made"], again["reused"], again["problems"]) == (CASES - kept, kept, 0)
    assert server.statistics.requests - answered_before == CASES - kept
    whole = World(tmp_path / "whole", server).finished()
    assert (again["outputs"], again["cost"]) == (whole["outputs"], whole["cost"])
    assert world.rows() == CASES
    assert whole["made"] == CASES
    database = open_database(world.database_url)
    runs = RunStore(database)
    assert all(runs.run(run_id) is not None for run_id in again["runs"])  # those of the killed process too
    database.close()


def test_an_interrupt_keeps_everything_that_was_done(world: World, server: ModelServer) -> None:
    process = world.start()
    world.wait_for_rows(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    before, kept = server.statistics, world.rows()
    assert kept >= 5
    again = world.finished()
    assert (again["made"], again["reused"]) == (CASES - kept, kept)
    assert server.statistics.requests - before.requests == CASES - kept


def test_two_processes_on_the_same_cases_both_end_with_the_same_trials(world: World) -> None:
    processes = [world.start() for _ in range(2)]
    found = [world.finished(process) for process in processes]
    assert found[0]["outputs"] == found[1]["outputs"]
    assert [one["problems"] for one in found] == [0, 0]
    assert world.rows() == CASES
    third = world.finished()
    assert (third["made"], third["reused"]) == (0, CASES)


def test_every_reported_total_is_that_of_the_rows(world: World) -> None:
    first = world.finished()
    again = world.finished()
    assert (again["made"], again["cost"], again["runs"]) == (0, first["cost"], first["runs"])
    assert first["cost"] == round(CASES * 0.001, 6)
    assert os.listdir(world.root / ".penstock/spool") == []
