"""Executors that are killed: what they accepted is run by others, from where they stopped."""

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from penstock.cli.main import main
from penstock.contracts.routing_table import AgentRoutes, Entry
from penstock.executor.app import build_app
from penstock.executor.executor import Executor
from penstock.settings import load_settings
from penstock.store.batches import BatchStore
from penstock.store.queue import RunQueue
from penstock.store.queue_dead import DeadLetters
from penstock.store.tables_queue import queued_runs
from penstock.store.threads import AT_ONCE
from penstock.testing.executor_world import World, in_prod, make_world, stopped_at_end, wait_until
from penstock.testing.paced_executor import PacedProvider

ASYNC = {"prefer": "respond-async"}
RUNS = "/v1/agents/noter/runs"
TOOLS = {"once": {"sideEffects": "write"}, "again": {"sideEffects": "write", "idempotent": True}}


@pytest.fixture
def noting(tmp_path: Path) -> Iterator[World]:
    """A project with an agent whose tools write, and a lease of a second."""
    with stopped_at_end(make_world(tmp_path / "project")) as world:
        world.publish(noter=in_prod("1.0.0", world.release("noter", "1.0.0", tools=TOOLS)))
        yield world


class Notes:
    """What the tools wrote down, and the holds that keep them in their calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"NOTES": str(folder), "PENSTOCK_LEASE_S": "1"}

    def lines(self, text: str) -> list[str]:
        """The idempotency keys of the calls with that text."""
        file = self.folder / "notes.txt"
        written = file.read_text().splitlines() if file.exists() else []
        return [line.split()[1] for line in written if line.split()[0] == text]

    def hold(self, *texts: str) -> None:
        for text in texts:
            (self.folder / f"hold-{text}").touch()

    def release(self) -> None:
        for file in self.folder.glob("hold-*"):
            file.unlink()


def order(text: str, **more: Any) -> dict[str, Any]:
    return {"input": {"text": text, **more}}


def test_a_killed_executor_loses_nothing_and_repeats_no_write(
    noting: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = Notes(tmp_path)
    notes.hold("once", "again", "found")
    first = noting.start(environment=notes.environment)
    with first.client(**ASYNC) as client:
        orders = {
            "model": order("in_the_model slowly", tool="again", delayMs=400),
            "once": order("once", tool="once"),
            "found": order("found", tool="once"),
            "again": order("again", tool="again"),
        }
        urls = {name: client.post(RUNS, json=one).json()["url"] for name, one in orders.items()}
        wait_until(lambda: [len(notes.lines(one)) for one in ("once", "again", "found")] == [1] * 3, what="in tools")
        wait_until(
            lambda: "began in_the_model slowly" in noting.seen_lines(), what="one is in the model, after its tool"
        )
        second = noting.start(environment=notes.environment)
        urls["just accepted"] = client.post(RUNS, json=order("just accepted")).json()["url"]
        first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    notes.release()
    with second.client() as client:
        ends = {name: "review" if name in ("once", "found") else "finished" for name in urls}
        wait_until(
            lambda: {name: client.get(url).json()["status"] for name, url in urls.items()} == ends, what="all ends"
        )
        assert client.get(urls["model"]).json()["output"] == "in_the_model slowly"
        assert len(notes.lines("in_the_model")) == 1  # answered from the journal: only the model was asked again
        [key] = set(notes.lines("again"))
        assert (len(notes.lines("again")), len(notes.lines("once"))) == (2, 1)
        assert key.startswith(id_of(urls["again"]))
        events = [
            json.loads(line[6:])
            for line in client.get(f"{urls['once']}/events").text.splitlines()
            if line[:5] == "data:"
        ]
        assert events[-1]["type"] == "review.requested"
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert {event["attempt"] for event in events} == {1, 2}

        def queue(*words: str, wants: int = 0) -> Any:
            assert main(["--project", str(noting.root), "queue", *words, "--json"]) == wants
            return json.loads(capfd.readouterr().out)

        run_id, found = id_of(urls["once"]), id_of(urls["found"])
        assert {row["runId"] for row in queue("dead")["dead"]} == {run_id, found}
        assert main(["--project", str(noting.root), "queue", "dead"]) == 0
        assert f"`agentctl queue settle {found} --result ...` says what came of it" in capfd.readouterr().out
        assert queue("replay", "--all") == {
            "replayed": {},
            "left": [row["runId"] for row in queue("dead")["dead"]],
            "failed": {},
        }
        assert queue("replay", run_id) == {"replayed": {run_id: run_id}, "left": [], "failed": {}}
        wait_until(lambda: client.get(urls["once"]).json()["status"] == "finished", what="the call is made again")
        assert (len(notes.lines("once")), len(set(notes.lines("once")))) == (2, 1)

        told = ("--comment", "it is in the book", "--user", "ada@example.com")
        refused = queue("settle", found, "--result", '{"txt": 1}', *told, wants=1)["error"]
        assert "tools/once@1.0.0 output" in json.dumps(refused)
        assert queue("settle", found, "--result", '{"text": "written"}', *told)["tool"] == "once"
        wait_until(lambda: client.get(urls["found"]).json()["status"] == "finished", what="it goes on with the result")
        assert len(notes.lines("found")) == 1
        told_events = client.get(f"{urls['found']}/events").text
        assert '"reason":"outcome-unknown","tool":"once"' in told_events
        assert ('"decision":"made"' in told_events, '"source":"person"' in told_events) == (True, True)
        assert queue("settle", found, "--result", "{}", *told, wants=1)["error"]["type"] == "not-found"
    assert second.stop() == 0


def test_a_cancel_reaches_the_executor_that_has_the_run_and_a_drain_hands_runs_on(
    noting: World, tmp_path: Path
) -> None:
    notes = Notes(tmp_path)
    first = noting.start(environment={**notes.environment, "PACED_DRAIN_S": "0.2"})
    with first.client(**ASYNC) as client:
        cancelled = client.post(RUNS, json=order("to be cancelled", delayMs=5_000)).json()["url"]
        handed_on = client.post(RUNS, json=order("handed on", delayMs=600)).json()["url"]
    wait_until(lambda: {"began to be cancelled", "began handed on"} <= set(noting.seen_lines()), what="both run")
    second = noting.start(environment=notes.environment)
    with second.client() as client:
        assert client.get(cancelled).json()["status"] == "running"
        assert client.post(f"{cancelled}/cancel").status_code == 202
        wait_until(
            lambda: "cancelled to be cancelled" in noting.seen_lines(), what="the model hears of it", timeout_s=5
        )
        wait_until(lambda: client.get(cancelled).json()["status"] == "cancelled", what="its end is written")
        assert client.post(f"{cancelled}/cancel").status_code == 409
        assert first.stop() == 0
        wait_until(lambda: client.get(handed_on).json()["status"] == "finished", what="another goes on")


async def test_without_the_database_nothing_is_accepted_and_plain_runs_go_on(tmp_path: Path) -> None:
    root = make_world(tmp_path / "project").root
    settings = load_settings(root).model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    executor = Executor(settings, provider=PacedProvider(None))
    async with executor, _asking(executor) as client:
        plain = await client.post("/v1/agents/echo/runs", json=order("plain"))
        assert plain.status_code == 200
        for path, headers in (("runs", ASYNC), ("runs", {"idempotency-key": "k"}), ("batches", {})):
            answer = await client.post(f"/v1/agents/echo/{path}", json=order("x"), headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:penstock:problem:unavailable")
            assert "database" in answer.json()["what"]


async def test_a_database_that_says_nothing_holds_up_no_plain_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(tmp_path / "project")
    world.publish(noter=in_prod("1.0.0", world.release("noter", "1.0.0", tools=TOOLS)))
    monkeypatch.setenv("NOTES", str(tmp_path))
    answers, asked = threading.Event(), threading.Semaphore(0)
    accept = RunQueue.accept

    def says_nothing(queue: RunQueue, *words: Any) -> str:
        asked.release()
        assert answers.wait(60)
        return accept(queue, *words)

    monkeypatch.setattr(RunQueue, "accept", says_nothing)
    async with (
        Executor(load_settings(world.root), provider=PacedProvider(None)) as executor,
        _asking(executor) as client,
    ):
        queued = [
            asyncio.create_task(client.post("/v1/agents/echo/runs", json=order("queued"), headers=ASYNC))
            for _ in range(5 * AT_ONCE)
        ]
        for _ in range(AT_ONCE):
            assert await asyncio.to_thread(asked.acquire, timeout=20)
        try:
            plain = await client.post(RUNS, json=order("plain", tool="once"))  # its tool is loaded now
            assert (plain.json()["status"], plain.json()["output"]) == ("finished", "plain")
            assert not any(task.done() for task in queued)
        finally:
            answers.set()
        assert {(await task).status_code for task in queued} == {202}


async def test_a_batch_for_an_agent_that_stands_in_dev_alone_says_so_on_each_line(tmp_path: Path) -> None:
    world = make_world(tmp_path / "project")
    draft = Entry(version="1.0.0", release=world.release("draft", "1.0.0"), runtime="direct")
    world.publish(draft=AgentRoutes(dev=[draft]))
    lines = [{"input": {"text": "one"}, "stage": "dev"}, {"text": "two"}]
    async with (
        Executor(load_settings(world.root), provider=PacedProvider(None)) as executor,
        _asking(executor) as client,
    ):
        answers = [
            await client.post("/v1/agents/draft/batches", content="\n".join(json.dumps(line) for line in some))
            for some in (lines, lines[:1], lines[1:])
        ]
    assert [answer.status_code for answer in answers] == [422, 202, 403]
    [fault] = answers[0].json()["faults"]
    assert (fault["line"], fault["what"]) == (2, answers[2].json()["what"])


async def test_what_waits_meets_what_holds_when_it_starts(tmp_path: Path) -> None:
    world = make_world(tmp_path / "project")
    executor = Executor(load_settings(world.root), provider=PacedProvider(None))
    async with executor, _asking(executor) as client:
        agents = {"cancelled": "echo", "frozen": "echo", "forgotten": "echo", "talk": "talk"}
        urls = {}
        for name, agent in agents.items():
            answer = await client.post(f"/v1/agents/{agent}/runs", json=order(name), headers=ASYNC)
            urls[name] = answer.json()["url"]
        assert (await client.post(f"{urls['cancelled']}/cancel")).status_code == 202
        before = (await client.get(urls["cancelled"])).json()
        assert (before["status"], before["version"], before["attempt"]) == ("cancelled", None, 0)
        executor.database.runs.delete_payloads(id_of(urls["forgotten"]))
        generation = world.publish(echo=in_prod("1.0.0", world.release("echo", "1.0.0"), status="frozen"))
        await until(lambda: executor.table.generation == generation)
        executor.worker.start()
        ends = {"frozen": "rejected", "forgotten": "rejected", "talk": "finished", "cancelled": "cancelled"}
        for name, end in ends.items():
            stream = await client.get(f"{urls[name]}/events")
            assert (await client.get(urls[name])).json()["status"] == end, name
            if name in ("frozen", "talk"):
                assert f"run.{end}" in stream.text
        await until(lambda: executor.database.runs.run(id_of(urls["cancelled"])) is not None)
        dead = {row.run_id: (row.error or {})["code"] for row in DeadLetters(executor.database.database).rows()}
        assert dead == {id_of(urls["frozen"]): "policy", id_of(urls["forgotten"]): "conflict"}


async def test_an_executor_takes_its_own_run_over_when_its_lease_ran_out(tmp_path: Path) -> None:
    world = make_world(tmp_path / "project")
    executor = Executor(load_settings(world.root), provider=PacedProvider(world.seen))
    async with executor, _asking(executor) as client:
        executor.worker.start()
        url = (await client.post("/v1/agents/echo/runs", json=order("goes on", delayMs=300), headers=ASYNC)).json()[
            "url"
        ]
        await until(lambda: "began goes on" in world.seen_lines())
        await until(lambda: overdue_again(executor, id_of(url)))
        assert "run.finished" in (await client.get(f"{url}/events")).text
        run = (await client.get(url)).json()
        assert (run["status"], run["output"]) == ("finished", "goes on")
    assert world.seen_lines() == ["began goes on", "cancelled goes on", "began goes on", "ended goes on"]


async def test_what_was_accepted_waits_while_nobody_can_say_whether_there_is_a_place(tmp_path: Path) -> None:
    world = make_world(tmp_path / "project")
    away = load_settings(world.root).model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with Executor(away, provider=PacedProvider(None)) as executor, _asking(executor) as client:
        executor.worker.start()
        url = (await client.post("/v1/agents/echo/runs", json=order("waits"), headers=ASYNC)).json()["url"]
        waiting: dict[str, Any] = {}
        for _ in range(1_000):  # it is tried again each second, and then it is not waiting for a moment
            waiting = (await client.get(url)).json()
            if waiting.get("error") is not None:
                break
            await asyncio.sleep(0.01)
        assert (waiting["status"], waiting["error"]["code"]) == ("queued", "unavailable")
    async with (
        Executor(load_settings(world.root), provider=PacedProvider(None)) as executor,
        _asking(executor) as client,
    ):
        executor.worker.start()
        assert "run.finished" in (await client.get(f"{url}/events")).text


@pytest.mark.servers
async def test_on_postgresql_runs_are_accepted_taken_over_and_counted(tmp_path: Path, postgresql_url: str) -> None:
    root = make_world(tmp_path / "project").root
    settings = load_settings(root).model_copy(update={"database_url": postgresql_url})
    async with Executor(settings, provider=PacedProvider(None)) as executor, _asking(executor) as client:
        answer = await client.post("/v1/agents/echo/runs", json=order("by any"), headers=ASYNC)
        batch = await client.post("/v1/agents/echo/batches", content=b'{"text": "one"}\n{"text": "two"}')
        keyed = await client.post("/v1/agents/echo/runs", json=order("keyed"), headers={"idempotency-key": "k"})
        assert (answer.status_code, batch.status_code, keyed.status_code) == (202, 202, 200)
    async with Executor(settings, provider=PacedProvider(None)) as executor, _asking(executor) as client:
        executor.worker.start()
        assert "run.finished" in (await client.get(f"{answer.json()['url']}/events")).text
        store = BatchStore(executor.database.database)
        await until(lambda: (found := store.get(batch.json()["batchId"])) is not None and found.is_done)
        assert (await client.get(answer.json()["url"])).json()["output"] == "by any"
        again = await client.post("/v1/agents/echo/runs", json=order("keyed"), headers={"idempotency-key": "k"})
        assert again.json() == keyed.json()


def overdue_again(executor: Executor, run_id: str) -> bool:
    """Lets the run's lease be over; whether it was taken again."""
    with executor.database.database.write() as connection:
        mine = (queued_runs.c.run_id == run_id) & (queued_runs.c.attempt == 1)
        found = connection.execute(update(queued_runs).where(mine).values(due="2026-01-01T00:00:00.000000Z"))
    return found.rowcount == 0


def id_of(url: str) -> str:
    return url.removeprefix("/v1/runs/")


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition, what="what was asked for")


def _asking(executor: Executor) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=build_app(executor))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=20)
