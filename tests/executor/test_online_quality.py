"""From a user's request to the SLO: runs of an executor, feedback, the judge afterwards, and what `slo` makes of it."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from penstock.contracts.routing_table import CanaryEntry
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.release.online_judge import due_scores, judge_online, online_suites, onlines
from penstock.release.slo import SloRow, slo_rows
from penstock.scaffold.reference import reference_files
from penstock.scoring.online import OnlinePass
from penstock.settings import load_settings
from penstock.store.database import open_database
from penstock.store.run_scores import RunScore, RunScoreStore
from penstock.store.runs import RunStore
from penstock.testing.executor_world import Running, World, in_prod, wait_until
from penstock.testing.fake_provider import FakeProvider, says

SINCE = "2026-01-01T00:00:00Z"
JUDGE = (
    "registry_repo/agents/quality-judge/1.0.0.yaml",
    "registry_repo/prompts/quality-judge/1.0.0.md",
    "registry_repo/models/judge/1.0.0.yaml",
    "registry_repo/policies/default/1.0.0.yaml",
)
SUITE: dict[str, Any] = {
    "datasets": ["none"],
    "scorers": [
        {"scorer": "judge", "agent": "agents/quality-judge@1.0.0", "params": {"rubric": "It says what was said."}},
        {"scorer": "finished"},
    ],
    "online": {"share": 1.0, "scorers": ["judge", "finished"], "costUsdPerDay": 1.0},
}


def judged_world(world: World, **online: Any) -> World:
    """The world with the reference's judge, and a suite of `echo` that scores live runs."""
    files = dict(reference_files(*JUDGE))
    head = {"apiVersion": "penstock.dev/v1", "kind": "EvalSuite", "metadata": {"name": "echo"}}
    spec = {**SUITE, "online": {**SUITE["online"], **online}}
    files["evals/echo.yaml"] = yaml.safe_dump({**head, "spec": spec}).encode()
    for path, data in files.items():
        (world.root / path).parent.mkdir(parents=True, exist_ok=True)
        (world.root / path).write_bytes(data)
    return world


async def judge(world: World, **choices: Any) -> OnlinePass:
    settings = load_settings(world.root)
    registry = load_registry(TreeSource(world.root), default_runtime="direct")
    (done,) = await judge_online(settings, registry, online_suites(registry, "echo"), SINCE, **choices)
    return done


def slo(world: World, **choices: Any) -> list[SloRow]:
    registry = load_registry(TreeSource(world.root), default_runtime="direct")
    table = world.store.newest_table()
    assert table is not None
    database = open_database(load_settings(world.root).database)
    rows = list(slo_rows(database, table, world.store.get_release, onlines(registry), SINCE, agent="echo", **choices))
    database.close()
    return rows


def kept(world: World, run_id: str) -> dict[str, RunScore]:
    database = open_database(load_settings(world.root).database)
    found = {one.scorer: one for one in RunScoreStore(database).of_run(run_id)}
    database.close()
    return found


def answered(running: Running, *texts: str, **order: Any) -> list[str]:
    """Run ids of finished runs that the database has."""
    ids = [running.run(text=text, **order).json()["runId"] for text in texts]
    root = running.errors.parent
    file = root / ".penstock/store.db"

    def stored() -> bool:
        with sqlite3.connect(file) as database:
            found = {row[0] for row in database.execute("SELECT run_id FROM runs")}
        return found >= set(ids)

    wait_until(stored, what="the runs are stored")
    return ids


def rate(running: Running, run_id: str, rating: str) -> None:
    assert httpx.post(f"{running.url}/v1/runs/{run_id}/feedback", json={"rating": rating}).status_code == 200


async def test_from_a_request_to_the_slo(world: World) -> None:
    running = judged_world(world).start()
    good, other = answered(running, "Orders are exported as files", "Guests must not delete orders")
    rate(running, good, "up")
    rate(running, other, "down")
    settings = load_settings(world.root)
    suites = online_suites(load_registry(TreeSource(world.root)), None)
    assert due_scores(settings, suites, SINCE) == {"echo": 4}
    done = await judge(world)
    assert (done.scored, done.failed, done.backlog) == (4, 0, 0)
    assert due_scores(settings, suites, SINCE) == {"echo": 0}
    scores = kept(world, good)
    assert (scores["judge"].value, scores["finished"].value) == (1.0, 1.0)
    assert scores["judge"].document["details"]["judgeRuns"]
    assert (await judge(world)).scored == 0
    (row,) = slo(world)
    assert (row.outcome, row.runs, row.stage) == ("met", 2, "prod")
    assert (row.feedback.n, row.feedback.mean, row.judges["judge"].n) == (2, 0.5, 2)
    assert [one.share for one in row.coverage] == [1.0, 1.0]
    mean = row.judges["finished"]
    assert mean.lower is not None
    assert mean.lower < 1.0 == mean.mean == mean.upper


async def test_judges_run_apart_from_live_traffic(world: World) -> None:
    running = judged_world(world).start()
    answered(running, "hello")
    await judge(world)
    with sqlite3.connect(world.root / ".penstock/store.db") as database:
        modes = database.execute("SELECT agent, mode FROM runs ORDER BY started_at").fetchall()
    assert modes == [("echo", "live"), ("quality-judge", "eval")]
    assert all("quality" not in line for line in world.seen_lines()), "the executor's model was not asked"


async def test_nonsense_from_the_judge_is_no_score(world: World) -> None:
    running = judged_world(world).start()
    (run_id,) = answered(running, "hello")
    done = await judge(world, provider=FakeProvider(lambda _: says('{"score": 7}')))
    assert (done.scored, done.failed, done.backlog) == (1, 1, 1)
    found = kept(world, run_id)["judge"]
    assert (found.state, found.value) == ("failed", None)
    assert "quality-judge@1.0.0 did not answer" in found.document["errors"][0]["what"]
    assert found.cost_usd == pytest.approx(0.002), "what the judge's run cost, its repair turn too, is counted"
    (row,) = slo(world)
    assert (row.judges["judge"].n, row.coverage[0].share, row.coverage[0].waiting) == (0, 0.0, 1)


async def test_a_judge_on_the_candidates_own_model_is_refused(world: World) -> None:
    world.publish(echo=in_prod("1.1.0", world.release("echo", "1.1.0", model="scripted/qa-judge")))
    running = judged_world(world).start()
    (run_id,) = answered(running, "hello")
    provider = FakeProvider(lambda _: says('{"score": 1, "reason": "mine"}'))
    done = await judge(world, provider=provider)
    assert (done.scored, done.failed, provider.calls) == (1, 1, [])
    what = kept(world, run_id)["judge"].document["errors"][0]["what"]
    assert "both ask scripted/qa-judge" in what
    assert "agents/quality-judge@1.0.0" in what


async def test_the_budget_of_a_day_stops_the_judge(world: World) -> None:
    running = judged_world(world, scorers=["judge"], costUsdPerDay=0.002).start()
    answered(running, *(f"text {n}" for n in range(12)))
    provider = FakeProvider(lambda _: says('{"score": 1, "reason": "good"}'))
    done = await judge(world, provider=provider)
    assert done.stopped is not None
    assert "0.002 USD is used up" in done.stopped
    assert len(provider.calls) == done.scored <= 9, "2 and those in flight"
    assert done.scored + done.backlog == 12
    assert (await judge(world, provider=provider)).scored == 0


HANGS = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_online_quality import World, judge
from penstock.testing.fake_provider import FakeProvider, hangs, says

def third(call):
    if len(provider.calls) < 3:
        return says('{{"score": 1, "reason": "good"}}')
    print("hangs", flush=True)
    return hangs(call)

provider = FakeProvider(third)
asyncio.run(judge(World(Path({root!r})), provider=provider))
"""


def killed_at_the_third(world: World) -> None:
    """A judging process that is killed while its third question is in flight."""
    words = [sys.executable, "-c", HANGS.format(tests=str(Path(__file__).parent), root=str(world.root))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGKILL)


async def test_killed_in_the_middle_only_what_was_in_flight_is_paid_again(world: World) -> None:
    judged_world(world, scorers=["judge"])
    suite = world.root / "evals/echo.yaml"
    document = yaml.safe_load(suite.read_text())
    suite.write_text(yaml.safe_dump({**document, "spec": {**document["spec"], "concurrency": 1}}))
    answered(world.start(), *(f"text {n}" for n in range(5)))
    killed_at_the_third(world)
    provider = FakeProvider(lambda _: says('{"score": 1, "reason": "good"}'))
    done = await judge(world, provider=provider)
    assert (done.scored, len(provider.calls), done.backlog) == (2, 2, 1), "one is held by who was killed"
    with sqlite3.connect(world.root / ".penstock/store.db") as database:
        database.execute("UPDATE run_scores SET due = '2026-01-01T00:00:00.000000Z' WHERE state = 'claimed'")
    done = await judge(world, provider=provider)
    assert (done.scored, len(provider.calls), done.backlog) == (1, 3, 0)
    assert done.coverage[0].share == 1.0


async def test_a_missed_promise_and_no_data_are_said(world: World) -> None:
    judged_world(world)
    (row,) = slo(world)
    assert row.outcome == "no data"
    assert {promise.why for promise in row.promises} == {"no run"}
    assert (row.feedback.n, row.coverage[0].share) == (0, None)
    (run_id,) = answered(world.start(), "good")
    database = open_database(load_settings(world.root).database)
    runs = RunStore(database)
    failed = {**(runs.run(run_id) or {}), "runId": "failed", "status": "failed"}
    runs.ingest([{"kind": "run", "run": failed}])
    database.close()
    (row,) = slo(world)
    assert (row.outcome, row.runs) == ("missed", 2)
    document = json.loads(json.dumps(row.as_document()))
    assert document["slo"]["successRate"] == {"value": 0.5, "limit": 0.99, "outcome": "missed", "why": ""}
    assert document["slo"]["p95Ms"]["outcome"] is None


async def test_each_stage_has_a_row(world: World) -> None:
    digest = world.release("echo", "1.1.0")
    canary = CanaryEntry(version="1.1.0", release=digest, runtime="direct", weight_bp=10_000, salt=digest, since=SINCE)
    table = world.store.newest_table()
    assert table is not None
    world.publish(echo=table.agents["echo"].model_copy(update={"canary": canary}))
    answered(judged_world(world).start(), "one", "two")
    assert [(row.stage, row.version, row.runs) for row in slo(world)] == [("prod", "1.0.0", 0), ("canary", "1.1.0", 2)]
    assert [row.stage for row in slo(world, stage="canary")] == ["canary"]
