"""What an executor does when something around it fails: each test has processes of its own."""

import asyncio
import contextlib
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from penstock.settings import load_settings
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.executor_world import Running, World, in_prod, wait_until

CLIENTS = 12


class Load:
    """Clients that ask without pause until they are told to stop; `answers` counts (status, version or problem)."""

    def __init__(self, executor: Running, delay_ms: int = 0) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.answered: list[str] = []
        self.broken: list[str] = []
        self._executor = executor
        self._order = {"input": {"text": "under load", "delayMs": delay_ms}}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
        wait_until(condition, what=what, timeout_s=timeout_s)

    def _ask(self) -> None:
        with self._executor.client() as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/v1/agents/echo/runs", json=self._order)
                except httpx.ConnectError:
                    return  # nobody listens any more
                except httpx.HTTPError as error:
                    self.broken.append(repr(error))
                    return
                told = answer.json()
                self.answers[answer.status_code, str(told.get("version") or told["type"])] += 1
                if answer.status_code == 200:
                    self.answered.append(told["runId"])
                elif told.get("type", "").endswith(":draining"):
                    return


@contextlib.contextmanager
def stored(world: World) -> Iterator[RunStore]:
    database = open_database(load_settings(world.root).database)
    try:
        yield RunStore(database)
    finally:
        database.close()


def unready(executor: Running) -> list[str]:
    reasons: list[str] = httpx.get(f"{executor.url}/readyz").json()["reasons"]
    return reasons


def state(executor: Running) -> dict[str, object]:
    answer: dict[str, object] = httpx.get(f"{executor.url}/readyz").json()
    return answer


def test_a_new_table_is_followed_within_a_second_and_no_request_fails(world: World) -> None:
    executor = world.start()
    newer = world.release("echo", "1.1.0")
    with Load(executor) as load:
        load.wait_for(lambda: load.answers[200, "1.0.0"] > 50, "answers of 1.0.0")
        world.publish(echo=in_prod("1.1.0", newer))
        published = time.monotonic()
        load.wait_for(lambda: load.answers[200, "1.1.0"] > 0, "an answer of 1.1.0")
        live_s = time.monotonic() - published
        load.wait_for(lambda: load.answers[200, "1.1.0"] > 50, "answers of 1.1.0")
    assert live_s <= 1.0
    assert load.broken == []
    assert {status for status, _ in load.answers} == {200}


def test_a_drain_under_load_loses_nothing(world: World) -> None:
    executor = world.start()
    with Load(executor, delay_ms=20) as load:
        load.wait_for(lambda: len(load.answered) > 50, "answers")
        executor.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "shutting down" in unready(executor), what="not ready any more")
    assert executor.process.wait(15) == 0
    assert load.broken == []
    assert {told for told in load.answers if told[0] != 200} <= {(503, "urn:penstock:problem:draining")}
    with stored(world) as runs:
        assert [run_id for run_id in load.answered if runs.run(run_id) is None] == []
    assert list((world.root / ".penstock/spool").glob("*/*.jsonl")) == []


def test_while_it_drains_it_says_so_and_takes_no_new_run(world: World) -> None:
    executor = world.start()
    answers: list[httpx.Response] = []
    slow = threading.Thread(target=lambda: answers.append(executor.run(text="slow one", input={"delayMs": 500})))
    slow.start()
    wait_until(lambda: "began slow one" in world.seen_lines(), what="a run in flight")
    executor.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "shutting down" in unready(executor), what="not ready any more", timeout_s=1)
    refused = executor.run()
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:penstock:problem:draining")
    assert refused.headers["retry-after"] == "1"
    assert executor.process.wait(10) == 0
    slow.join(5)
    assert answers[0].json()["output"] == "slow one"


def test_what_does_not_end_in_time_is_cancelled(world: World) -> None:
    executor = world.start(environment={"PACED_DRAIN_S": "0.2"})
    answers: list[httpx.Response] = []
    slow = threading.Thread(target=lambda: answers.append(executor.run(text="endless", input={"delayMs": 19_000})))
    slow.start()
    wait_until(lambda: "began endless" in world.seen_lines(), what="a run in flight")
    assert executor.stop(signal.SIGINT) == 0
    slow.join(5)
    assert (answers[0].status_code, answers[0].json()["runStatus"]) == (409, "cancelled")
    assert "cancelled endless" in world.seen_lines()


def test_a_second_signal_ends_it_at_once(world: World) -> None:
    executor = world.start()
    with (
        contextlib.suppress(httpx.HTTPError),
        httpx.stream(
            "POST", f"{executor.url}/v1/agents/echo/runs?stream=true", json={"input": {"text": "x", "delayMs": 19_000}}
        ) as answer,
    ):
        next(answer.iter_lines())
        executor.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "shutting down" in unready(executor), what="the first signal was heard")
        assert executor.stop(signal.SIGTERM) == 130


def test_what_was_answered_survives_kill_9(world: World) -> None:
    executor = world.start()
    with Load(executor) as load:
        load.wait_for(lambda: len(load.answered) > 200, "answers")
        executor.process.kill()
        executor.process.wait()
    world.start()
    with stored(world) as runs:
        wait_until(lambda: runs.run(load.answered[-1]) is not None, what="the spool of the dead one is taken in")
        wait_until(lambda: all(runs.run(run_id) for run_id in load.answered), what="all that was answered")
        kinds = [event["type"] for event in runs.events(load.answered[-1])]
    assert kinds[-1] == "run.finished"


def test_without_the_release_store_it_goes_on_and_even_starts(world: World) -> None:
    executor = world.start()
    releases, away = world.root / ".penstock/releases", world.root / "releases-away"
    releases.rename(away)
    wait_until(lambda: state(executor)["problem"] is not None, what="the problem is named")
    assert executor.run(text="go on").json()["output"] == "go on"
    assert state(executor)["ready"] is True
    assert executor.stop() == 0
    another = world.start()
    assert another.run(text="from the cache").json()["output"] == "from the cache"
    away.rename(releases)
    newer = world.publish(echo=in_prod("1.1.0", world.release("echo", "1.1.0")))
    wait_until(lambda: state(another)["liveGeneration"] == newer, what="it follows the store again")
    assert another.run().json()["version"] == "1.1.0"


def test_without_the_database_plain_runs_go_on_and_sessions_say_why_not(world: World) -> None:
    executor = world.start()
    first = executor.run("talk", "hello", sessionId="s1").json()["runId"]
    files = sorted((world.root / ".penstock").glob("store.db*"))
    away = world.root / "database-away"
    away.mkdir()
    for file in files:
        file.rename(away / file.name)
    plain = executor.run(text="go on")
    assert plain.json()["output"] == "go on"
    for refused in (
        executor.run("talk", "again", sessionId="s1"),
        httpx.get(f"{executor.url}/v1/catalog"),
        httpx.get(f"{executor.url}/v1/sessions/s1"),
    ):
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:penstock:problem:unavailable")
        assert "database" in refused.json()["what"]
    wait_until(lambda: state(executor)["database"] is not None, what="the problem is named")
    assert state(executor)["ready"] is True
    for file in files:
        (away / file.name).rename(file)
    assert executor.run("talk", "again", sessionId="s1").json()["status"] == "finished"
    wait_until(lambda: state(executor)["database"] is None, what="the problem is over")
    with stored(world) as runs:
        for run_id in (first, plain.json()["runId"]):
            wait_until(lambda run_id=run_id: runs.run(run_id) is not None, what="nothing was lost")  # type: ignore[misc]


def test_it_starts_without_the_database_and_takes_it_when_it_comes(world: World) -> None:
    place = world.root / "elsewhere"
    place.write_text("a file where the database's folder should be")
    executor = world.start(environment={"PENSTOCK_DATABASE_URL": f"sqlite:///{place}/store.db"})
    assert executor.run(text="without").json()["output"] == "without"
    assert executor.run("talk", "hello", sessionId="s1").status_code == 503
    place.unlink()
    wait_until(lambda: executor.run("talk", "hello", sessionId="s1").status_code == 200, what="the database is taken")


def test_nothing_is_answered_that_is_not_durable(world: World) -> None:
    executor = world.start()
    assert executor.run().status_code == 200
    limits = resource.prlimit(executor.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        refused = executor.run(text="full disk")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:penstock:problem:unavailable")
    finally:
        resource.prlimit(executor.process.pid, resource.RLIMIT_FSIZE, limits)
    wait_until(lambda: executor.run().status_code == 200, what="it recovers with the disk")


def test_a_frozen_agent_takes_no_new_run(world: World) -> None:
    executor = world.start()
    release = world.release("echo", "1.0.0")
    generation = world.publish(echo=in_prod("1.0.0", release, status="frozen"))
    wait_until(lambda: state(executor)["liveGeneration"] == generation, what="the table is live")
    refused = executor.run()
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:penstock:problem:run-rejected:policy")
    assert "frozen" in refused.json()["what"]


def test_more_runs_than_the_runtime_allows_are_refused_at_once(world: World) -> None:
    declaration = world.root / "runtimes/direct.yaml"
    declaration.write_text(declaration.read_text().replace("concurrentRuns: 500", "concurrentRuns: 1"))
    world.operate({"limits": {"maxWaitMs": 0}})
    executor = world.start()
    slow = threading.Thread(target=lambda: executor.run(text="the only place", input={"delayMs": 300}))
    slow.start()
    wait_until(lambda: "began the only place" in world.seen_lines(), what="the place is taken")
    refused = executor.run()
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:penstock:problem:run-rejected:limit")
    assert refused.headers["retry-after"] == "1"
    slow.join(10)
    assert executor.run().status_code == 200


def test_it_is_not_ready_before_the_first_table(world: World) -> None:
    tables = world.root / ".penstock/releases/routing"
    away = world.root / "routing-away"
    tables.rename(away)
    executor = world.start(ready=False)
    assert httpx.get(f"{executor.url}/healthz").json() == {"alive": True}
    waiting = httpx.get(f"{executor.url}/readyz")
    assert waiting.status_code == 503
    assert "no routing table" in waiting.json()["reasons"][0]
    assert executor.run().status_code == 503
    assert httpx.get(f"{executor.url}/v1/agents").status_code == 503
    away.rename(tables)
    wait_until(lambda: state(executor)["ready"], what="ready")


async def test_slow_clients_do_not_hold_up_others(world: World) -> None:
    executor = await asyncio.to_thread(world.start)
    port = httpx.URL(executor.url).port or 0
    half = b"POST /v1/agents/echo/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
    for _, writer in connections:
        writer.write(half)
        await writer.drain()
    answer = await asyncio.to_thread(executor.run, text="quick")
    assert answer.json()["output"] == "quick"
    for _, writer in connections:
        writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_executor_ends_at_once(world: World, number: int) -> None:
    executor = world.start()
    begun = time.monotonic()
    assert executor.stop(number) == 0
    assert time.monotonic() - begun < 4
