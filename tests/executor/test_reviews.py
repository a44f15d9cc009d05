"""Reviews over HTTP and by command: who waits, who decides, and that the run goes on elsewhere."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from penstock.cli.main import main
from penstock.cli.run import follow
from penstock.executor.executor import Executor
from penstock.executor.order import Identity, RunOrder
from penstock.executor.stored import open_stored
from penstock.settings import load_settings
from penstock.store.tables_reviews import reviews
from penstock.testing.executor_world import Running, World, in_prod, make_world, stopped_at_end, wait_until
from penstock.testing.paced_executor import PacedProvider

RUNS = "/v1/agents/buyer/runs"
ADA = {"x-penstock-user": "ada@example.com"}
TOOLS = {"order": {"sideEffects": "write"}}


@pytest.fixture(scope="module")
def buying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project with an agent whose tool `order` waits for a person, and one executor."""
    folder = tmp_path_factory.mktemp("reviews")
    with stopped_at_end(make_world(folder / "project")) as world:
        digest = world.release("buyer", "1.0.0", tools=TOOLS, human={"tools": ["order"]})
        world.publish(buyer=in_prod("1.0.0", digest))
        started(world)
        yield world


def started(world: World) -> Running:
    return world.start(environment={"NOTES": str(world.root), "PENSTOCK_LEASE_S": "1"})


@pytest.fixture
def client(buying: World) -> Iterator[httpx.Client]:
    with buying.running[-1].client() as opened:
        yield opened


def notes(world: World, text: str) -> int:
    """How often the tool was called with that text."""
    file: Path = world.root / "notes.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.split()[0] for line in lines].count(text)


def order(text: str, **more: Any) -> dict[str, Any]:
    return {"input": {"text": text, "tool": "order"}, **more}


def waiting(client: httpx.Client, text: str, **headers: str) -> str:
    """The URL of a run that was asked for plainly, and waits."""
    answer = client.post(RUNS, json=order(text), headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (202, "review")
    assert answer.headers["location"] == answer.json()["url"]
    return str(answer.json()["url"])


def finished(client: httpx.Client, url: str, **headers: str) -> dict[str, Any]:
    wait_until(lambda: client.get(url, headers=headers).json()["status"] == "finished", what="its end")
    document: dict[str, Any] = client.get(url, headers=headers).json()
    return document


def test_a_plain_run_stops_for_a_person_and_goes_on_once(buying: World, client: httpx.Client) -> None:
    acme = {"x-penstock-tenant": "acme"}
    url = waiting(client, "desk", **acme)
    assert notes(buying, "desk") == 0
    [asked] = client.get("/v1/reviews", headers=acme).json()["reviews"]
    assert (asked["tool"], asked["arguments"], asked["state"], asked["run"]) == ("order", {"text": "desk"}, "open", url)
    assert client.get("/v1/reviews").json()["reviews"] == []
    approve = {"decision": "approve", "comment": "ask ada@example.com"}
    assert client.post(f"{url}/decision", json=approve, headers=ADA).status_code == 404
    assert client.post(f"{url}/decision", json=approve, headers=acme).status_code == 400
    by_ada = {**acme, **ADA}
    answer = client.post(f"{url}/decision", json=approve, headers=by_ada)
    assert (answer.status_code, answer.json()["state"], answer.json()["decidedBy"]) == (
        200,
        "approved",
        ADA["x-penstock-user"],
    )
    assert "ada@example.com" not in answer.json()["comment"]
    again = client.post(f"{url}/decision", json={"decision": "reject"}, headers=by_ada)
    assert (again.status_code, again.json()["type"]) == (409, "urn:penstock:problem:conflict")
    assert finished(client, url, **acme)["output"] == "desk"
    assert notes(buying, "desk") == 1
    assert "review.decided" in client.get(f"{url}/events", headers=acme).text
    assert [one["state"] for one in client.get("/v1/reviews?state=all", headers=acme).json()["reviews"]] == ["approved"]


def test_what_a_decision_may_say_is_checked(buying: World, client: httpx.Client) -> None:
    url = waiting(client, "chair")
    for body, pointers in (
        ({"decision": "aprove", "coment": "x"}, ["coment", "decision"]),
        ({"decision": "reject", "arguments": {}, "callId": 5}, ["arguments", "callId"]),
        ({"decision": "approve", "arguments": {"text": 5}}, ["/text"]),
        ({"decision": "approve", "arguments": [], "comment": ""}, ["arguments", "comment"]),
        ([], [""]),
    ):
        answer = client.post(f"{url}/decision", json=body, headers=ADA)
        assert answer.status_code == 422, answer.text
        assert [fault["pointer"] for fault in answer.json()["faults"]] == pointers
    assert client.post(f"{url}/decision", content=b"{", headers=ADA).status_code == 400
    assert client.post("/v1/runs/none/decision", json={"decision": "approve"}, headers=ADA).status_code == 404
    edited = {"decision": "approve", "arguments": {"text": "stool"}}
    assert client.post(f"{url}/decision", json=edited, headers=ADA).status_code == 200
    finished(client, url)
    assert (notes(buying, "chair"), notes(buying, "stool")) == (0, 1)


def test_a_stream_ends_with_the_interruption_and_a_dry_run_asks_nobody(client: httpx.Client) -> None:
    text = client.post(f"{RUNS}?stream=true", json=order("lamp")).text
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events][-2:] == ["review.requested", "run.interrupted"]
    dry = client.post(RUNS, json=order("lamp", mode="dry"))
    assert (dry.status_code, dry.json()["output"]) == (200, "lamp")
    assert client.post(f"/v1/runs/{events[0]['runId']}/cancel").status_code == 202


def test_persons_decide_by_command(buying: World, client: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        assert main(["--project", str(buying.root), "review", *words]) == 0
        return capfd.readouterr().out

    url = waiting(client, "shelf")
    run_id = url.removeprefix("/v1/runs/")
    assert 'order {"text":"shelf"}  until ' in said("list")
    [asked] = json.loads(said("list", "--json", "--server", buying.running[-1].url))["reviews"]
    assert asked["runId"] == run_id
    words = ["approve", run_id, "--user", "ada", "--arguments", '{"text": "rack"}']
    assert said(*words) == f"{run_id}: order approved by ada\n"
    finished(client, url)
    assert notes(buying, "rack") == 1
    assert main(["--project", str(buying.root), "review", *words]) == 1
    assert "it was approved by ada" in capfd.readouterr().err
    other = waiting(client, "bed").removeprefix("/v1/runs/")
    server = ["--server", buying.running[-1].url, "--user", "ada"]
    assert "rejected by ada" in said("reject", other, "--comment", "too large", *server)
    finished(client, f"/v1/runs/{other}")
    assert notes(buying, "bed") == 0
    assert "rejected" in said("list", "--state", "rejected")


def test_executors_give_up_what_nobody_decided_in_time(buying: World, client: httpx.Client) -> None:
    url = waiting(client, "mat")
    with open_stored(load_settings(buying.root)) as database, database.write() as connection:
        row = update(reviews).where(reviews.c.run_id == url.removeprefix("/v1/runs/"))
        connection.execute(row.values(expires_at="2020-01-01T00:00:00.000000Z"))
    late = client.post(f"{url}/decision", json={"decision": "approve"}, headers=ADA)
    assert (late.status_code, "expired" in late.json()["what"]) == (409, True)
    assert finished(client, url)["usage"]["toolFailures"] == 1
    assert notes(buying, "mat") == 0


def test_who_runs_it_by_command_is_told_that_it_waits(buying: World, capfd: pytest.CaptureFixture[str]) -> None:
    server = buying.running[-1].url
    asking = ["run", "buyer", "--input", '{"text": "rug", "tool": "order"}', "--server", server]
    for words in (asking, [*asking, "--stream"]):
        assert main(["--project", str(buying.root), *words]) == 0
        assert ": review; `agentctl review list` shows" in capfd.readouterr().out


async def test_a_run_in_the_commands_own_process_waits_as_well(buying: World) -> None:
    settings = load_settings(buying.root)
    async with Executor(settings, provider=PacedProvider(None)) as executor:
        order = RunOrder({"text": "vase", "tool": "order"})
        handle = await executor.submit("buyer", Identity(None, "ada"), order, stream=False)
        result = await follow(handle, stream=False, as_json=False)
        assert result["status"] == "review"
        assert (await executor.runs.document(handle.run_id, None))["status"] == "review"


def test_a_run_whose_executor_is_killed_while_it_waits_goes_on_at_another(buying: World) -> None:
    first = buying.running[-1]
    with first.client() as client:
        url = waiting(client, "sofa")
    second = started(buying)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    with second.client() as client:
        assert client.get(url).json()["status"] == "review"
        assert client.post(f"{url}/decision", json={"decision": "approve"}, headers=ADA).status_code == 200
        assert finished(client, url)["output"] == "sofa"
    assert notes(buying, "sofa") == 1
    assert second.stop() == 0
