"""The limits of real executors over HTTP: who is refused and told when to come back, and who waits."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from penstock.cli.limits import limits
from penstock.testing.executor_world import Running, World, wait_until
from penstock.testing.redis_server import RedisServer


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def levels(executor: Running) -> dict[str, dict[str, Any]]:
    document = httpx.get(f"{executor.url}/v1/limits").json()
    return {level["level"]: level for level in document["levels"]}


def held_by(world: World, executor: Running, pool: ThreadPoolExecutor, text: str) -> Callable[[], httpx.Response]:
    """A run that has its place and keeps it until its result is asked for."""
    done = threading.Event()

    def run() -> httpx.Response:
        with executor.client() as client:
            request = {"input": {"text": text, "delayMs": 60_000}}
            with client.stream("POST", "/v1/agents/echo/runs?stream=true", json=request) as stream:
                done.wait(30)
                return stream  # closing it cancels the run

    future = pool.submit(run)
    wait_until(lambda: f"began {text}" in world.seen_lines(), what=f"{text} is at work")

    def let_go() -> httpx.Response:
        done.set()
        return future.result(10)

    return let_go


def test_limits_refuse_over_http_and_a_changed_file_is_followed(world: World, pool: ThreadPoolExecutor) -> None:
    world.operate({"limits": {"tenant": {"concurrency": 1, "queueDepth": 1}, "maxWaitMs": 30_000}})
    executor = world.start()
    let_go = held_by(world, executor, pool, "the first")
    waiting = pool.submit(executor.run, text="the second")
    wait_until(lambda: levels(executor)["tenant"]["waiting"] == 1, what="the second waits")
    refused = executor.run(text="the third")
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (429, "urn:penstock:problem:run-rejected:limit")
    assert (problem["error"]["level"], problem["error"]["limit"]) == ("tenant (none)", "queueDepth")
    assert int(refused.headers["retry-after"]) >= problem["error"]["retryAfterS"]
    assert executor.run(headers={"X-Penstock-Tenant": "acme"}).status_code == 200
    stored = httpx.get(f"{executor.url}/v1/runs/{problem['runId']}/events").text
    assert '"type":"run.rejected"' in stored

    shown = CliRunner().invoke(limits, ["--server", executor.url])
    assert "held: in process" in shown.output
    assert "1 of 1" in shown.output

    world.operate({"limits": {"tenant": {"concurrency": 2}, "team": {"ratePerMinute": 4}, "maxWaitMs": 0}})
    assert waiting.result(10).status_code == 200  # the raise gave it a place
    answers = [executor.run() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]  # the second was the minute's first
    assert int(answers[-1].headers["retry-after"]) > 1
    let_go()


@pytest.mark.servers
def test_two_executors_hold_one_limit_and_refuse_without_redis(world: World, pool: ThreadPoolExecutor) -> None:
    world.operate({"limits": {"team": {"concurrency": 1, "queueDepth": 0}}})
    with RedisServer() as redis:
        started = [
            pool.submit(world.start, environment={"PENSTOCK_REDIS_URL": redis.url, "PENSTOCK_SPOOL_DIR": spool})
            for spool in ("spool-a", "spool-b")
        ]
        here, there = (future.result(60) for future in started)
        let_go = held_by(world, here, pool, "the only place")
        refused = there.run()
        assert (refused.status_code, refused.json()["error"]["limit"]) == (429, "concurrency")
        assert levels(there)["team"]["runningEverywhere"] == 1
        redis.kill()
        away = there.run()
        assert (away.status_code, away.json()["type"]) == (503, "urn:penstock:problem:run-rejected:unavailable")
        assert away.headers["retry-after"] == "1"
        world.operate({"limits": {"team": {"concurrency": 1, "queueDepth": 0}, "whenSharedIsGone": "open"}})
        wait_until(lambda: there.run().status_code == 200, what="the other rule holds")
        alone = httpx.get(f"{there.url}/v1/runs/{there.run().json()['runId']}/events").text
        assert '"limits":"alone"' in alone
        let_go()
