"""Asynchronous runs, idempotency keys and batches of an executor that is a real process."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from penstock.cli.main import main
from penstock.testing.executor_world import Running, World, wait_until

RUNS = "/v1/agents/echo/runs"
BATCHES = "/v1/agents/echo/batches"
ASYNC = {"prefer": "respond-async"}


@pytest.fixture
def client(executor: Running) -> Iterator[httpx.Client]:
    with executor.client() as opened:
        yield opened


def order(text: str, **more: Any) -> dict[str, Any]:
    return {"input": {"text": text, **more}}


def status(client: httpx.Client, url: str) -> str:
    return str(client.get(url).json()["status"])


def ended(client: httpx.Client, url: str) -> dict[str, Any]:
    wait_until(lambda: status(client, url) not in ("queued", "running"), what=f"the end of {url}")
    document: dict[str, Any] = client.get(url).json()
    return document


def began(world: World, text: str) -> int:
    return world.seen_lines().count(f"began {text}")


def test_an_accepted_run_is_answered_at_once_and_ends_by_itself(client: httpx.Client) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"prefer": "wait=5, respond-async", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = client.post(RUNS, json=order("quick one"), headers=headers)
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted == {"runId": accepted["runId"], "status": "queued", "url": f"/v1/runs/{accepted['runId']}"}
    assert answer.headers["location"] == accepted["url"]
    assert answer.headers["preference-applied"] == "respond-async"
    events = [
        json.loads(line[6:]) for line in client.get(f"{accepted['url']}/events").text.splitlines() if "data: " in line
    ]
    assert [event["type"] for event in events][0::6] == ["run.queued", "run.finished"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["traceId"] for event in events} == {trace}
    assert ended(client, accepted["url"])["output"] == "quick one"
    assert 'penstock_queue_wait_seconds_count{level="queue"} ' in client.get("/metrics").text
    assert client.get(accepted["url"], headers={"x-penstock-tenant": "other"}).status_code == 404


def test_what_cannot_run_is_not_accepted(client: httpx.Client) -> None:
    assert client.post("/v1/agents/nobody/runs", json=order("x"), headers=ASYNC).status_code == 404
    faulty = client.post(RUNS, json={"input": {"words": 1}, "mode": "dry"}, headers=ASYNC)
    assert faulty.status_code == 422
    assert [fault["pointer"] for fault in faulty.json()["faults"]] == ["", "mode"]
    assert client.post(RUNS, json=order("x"), headers={"idempotency-key": "k" * 256}).status_code == 400
    dry = client.post(RUNS, json={**order("x"), "mode": "dry"}, headers={"idempotency-key": "dry"})
    assert [fault["pointer"] for fault in dry.json()["faults"]] == ["mode"]


def test_a_hundred_equal_posts_at_once_make_one_run(shared: World, client: httpx.Client) -> None:
    body, headers = order("only once", delayMs=300), {"idempotency-key": '"once"'}
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda _: client.post(RUNS, json=body, headers=headers), range(100)))
    assert {answer.status_code for answer in answers} == {200, 202}
    assert len({answer.json()["runId"] for answer in answers}) == 1
    assert began(shared, "only once") == 1
    first = next(answer for answer in answers if answer.status_code == 200)
    assert client.post(RUNS, json=body, headers={"idempotency-key": "once"}).json() == first.json()
    flying = next(answer for answer in answers if answer.status_code == 202)
    assert flying.headers["location"] == flying.json()["url"]
    assert "preference-applied" not in flying.headers
    other = client.post(RUNS, json=order("another"), headers=headers)
    assert (other.status_code, other.json()["where"]) == (422, "Idempotency-Key once")
    assert client.post(RUNS, json=body, headers={**headers, **ASYNC}).json()["runId"] == first.json()["runId"]
    elsewhere = client.post(RUNS, json=body, headers={**headers, "x-penstock-tenant": "acme"})
    assert elsewhere.json()["runId"] != first.json()["runId"]


def test_a_client_with_a_key_that_goes_away_gets_its_answer_later(shared: World, client: httpx.Client) -> None:
    body, headers = order("went away", delayMs=200), {"idempotency-key": "away"}
    with pytest.raises(httpx.ReadTimeout):
        client.post(RUNS, json=body, headers=headers, timeout=0.1)
    wait_until(lambda: client.post(RUNS, json=body, headers=headers).status_code == 200, what="the answer")
    assert began(shared, "went away") == 1
    stream = client.post(f"{RUNS}?stream=true", json=body, headers=headers)
    assert "run.finished" in stream.text


def test_a_stream_under_a_key_streams(client: httpx.Client) -> None:
    headers = {"idempotency-key": "streams"}
    first, again = (client.post(f"{RUNS}?stream=true", json=order("word by word"), headers=headers) for _ in range(2))
    assert first.text.count('"token.delta"') == 3
    assert "run.finished" in first.text
    assert again.text.count('"token.delta"') in (0, 3)
    assert [line for line in again.text.splitlines() if line.startswith("id: ")] == [
        line for line in first.text.splitlines() if line.startswith("id: ")
    ]


def test_a_failed_answer_is_the_same_again_and_a_refused_one_frees_its_key(client: httpx.Client) -> None:
    headers = {"idempotency-key": "fails"}
    answers = [client.post(RUNS, json=order("falls", fault="final"), headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [502, 502]
    assert answers[0].json() == answers[1].json()
    stranger = {"idempotency-key": "stranger", "x-penstock-tenant": "stranger"}
    refused = [client.post(RUNS, json=order("no"), headers=stranger) for _ in range(2)]
    assert [answer.status_code for answer in refused] == [403, 403]
    assert refused[0].json()["runId"] != refused[1].json()["runId"]


def test_a_run_that_waits_or_runs_is_cancelled(shared: World, client: httpx.Client) -> None:
    url = client.post(RUNS, json=order("a very long one", delayMs=5_000), headers=ASYNC).json()["url"]
    wait_until(lambda: began(shared, "a very long one") == 1, what="it runs")
    assert client.post(f"{url}/cancel").status_code == 202
    assert ended(client, url)["status"] == "cancelled"
    assert client.post(f"{url}/cancel").status_code == 409


def test_a_queued_conversation_is_written_down_once(client: httpx.Client) -> None:
    body = {**order("hello again"), "sessionId": "s-async"}
    url = client.post("/v1/agents/talk/runs", json=body, headers=ASYNC).json()["url"]
    assert ended(client, url)["sessionId"] == "s-async"
    [talk] = client.get("/v1/sessions/s-async").json()["agents"]
    assert [message["role"] for message in talk["history"]] == ["user", "assistant"]


def test_a_batch_names_every_faulty_line_and_accepts_nothing_then(client: httpx.Client) -> None:
    lines = b'{"text": "fine"}\n\n{"words": 1}\nno json\n{"input": {"text": "x"}, "stage": "nowhere", "speed": 1}\n'
    answer = client.post(BATCHES, content=lines + b'{"input": {"text": "x"}, "version": "9.9.9"}')
    assert answer.status_code == 422
    faults = answer.json()["faults"]
    assert [fault["line"] for fault in faults] == [3, 4, 5, 5, 6]
    assert {fault["path"] for fault in faults} == {"request body"}
    assert client.post(BATCHES, content=b"\n").status_code == 422
    assert client.post("/v1/agents/nobody/batches", content=b"{}").status_code == 404
    assert client.post(BATCHES, content=b" " * ((16 << 20) + 1)).status_code == 413


def test_a_batch_runs_and_its_results_are_lines(client: httpx.Client) -> None:
    lines = [{"text": f"line {number}"} for number in range(5)]
    body = "\n".join(json.dumps(line) for line in [*lines, {"input": {"text": "an order"}, "version": "1.0.0"}])
    headers = {"idempotency-key": "batch", "x-penstock-tenant": "acme"}
    answer = client.post(BATCHES, content=body, headers=headers)
    assert (answer.status_code, answer.json()["lines"]) == (202, 6)
    assert client.post(BATCHES, content=body, headers=headers).json() == answer.json()
    url = answer.json()["url"]
    assert client.get(url).status_code == 404
    client.headers["x-penstock-tenant"] = "acme"
    wait_until(lambda: status(client, url) == "done", what="the batch is done")
    assert client.get(url).json()["counts"] == {"finished": 6}
    results = [json.loads(line) for line in client.get(f"{url}/results").text.splitlines()]
    assert [(one["line"], one["output"]) for one in results] == [
        *((number + 1, f"line {number}") for number in range(5)),
        (6, "an order"),
    ]


def test_a_batch_is_cancelled_and_leaves_room_for_others(client: httpx.Client) -> None:
    body = "\n".join(json.dumps({"text": f"slow {number}", "delayMs": 3_000}) for number in range(40))
    url = client.post(BATCHES, content=body).json()["url"]
    wait_until(lambda: client.get(url).json()["counts"].get("running", 0) == 12, what="a batch takes its places")
    assert (
        ended(client, client.post(RUNS, json=order("in between"), headers=ASYNC).json()["url"])["output"]
        == "in between"
    )
    assert client.post(f"{url}/cancel").json()["runs"] == 40
    begun = time.monotonic()
    wait_until(lambda: status(client, url) == "done", what="nothing of it runs")
    assert client.get(url).json()["counts"] == {"cancelled": 40}
    assert time.monotonic() - begun < 20


def test_the_commands_queue_and_clear(shared: World, executor: Running, capfd: pytest.CaptureFixture[str]) -> None:
    def agentctl(*words: str, wants: int = 0) -> Any:
        capfd.readouterr()
        assert main(["--project", str(shared.root), *words, "--json"]) == wants
        return json.loads(capfd.readouterr().out)

    server = ("--server", executor.url)
    accepted = agentctl("run", "echo", "--input", '{"text": "from a shell"}', "--async", *server)
    with executor.client() as client:
        assert ended(client, accepted["url"])["output"] == "from a shell"
    file = shared.root / "lines.jsonl"
    file.write_text('{"text": "well"}\n{"text": "badly", "fault": "final"}\n')
    with executor.client() as client:
        batch = client.post(BATCHES, content=file.read_bytes()).json()["url"]
        wait_until(lambda: client.get(batch).json()["counts"].get("finished") == 1, what="one line of it ended")
    depths = {(one["kind"], one["state"]): one["runs"] for one in agentctl("queue")["queue"]}
    assert sum(runs for (kind, _), runs in depths.items() if kind == "batch") == 1
    file.write_text('{"text": "one"}\n{"text": "two"}\n')
    done = agentctl("batch", str(file), "--agent", "echo", "--wait", *server)
    assert Counter(line["status"] for line in done["results"]) == {"finished": 2}
    assert agentctl("queue", "replay", wants=2)["error"]["type"] == "wrong-use"
    assert agentctl("queue", "purge", "nobody", wants=1)["error"]["type"] == "not-found"


def test_a_letter_that_cannot_be_replayed_keeps_no_other_from_it(
    shared: World, executor: Running, capfd: pytest.CaptureFixture[str]
) -> None:
    def agentctl(*words: str, wants: int = 0) -> Any:
        capfd.readouterr()
        assert main(["--project", str(shared.root), *words, "--json"]) == wants
        return json.loads(capfd.readouterr().out)

    denied = {"x-penstock-tenant": "stranger", **ASYNC}
    with executor.client(**denied) as client:
        forgotten, other = (client.post(RUNS, json=order("denied")).json()["runId"] for _ in range(2))

        def dead() -> set[str]:
            return {row["runId"] for row in agentctl("queue", "dead")["dead"]}

        wait_until(lambda: {forgotten, other} <= dead(), what="both are dead letters")
        agentctl("purge", "--run", forgotten)
        replays = agentctl("queue", "replay", "--all", wants=1)
        assert replays["failed"][forgotten]["type"] == "not-found"
        assert other in replays["replayed"]
        assert (other in dead(), forgotten in dead()) == (False, True)
        assert agentctl("queue", "replay", forgotten, wants=1)["error"]["type"] == "not-found"
