"""The routes of one executor process, asked over real sockets."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from penstock.contracts.event import TERMINAL, RunEvent
from penstock.contracts.evidence import Evidence
from penstock.reporting.content_policy import content_policy
from penstock.testing.executor_world import Running, World, wait_until

GHOST = "01890000-0000-7000-8000-000000000000"


def frames(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The frames of a stream: {"id", "data"}, comments left out."""
    found: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if not line and found:
            yield found
            found = {}
        elif name == "id":
            found["id"] = int(value)
        elif name == "data":
            found["data"] = json.loads(value)


def test_a_run_is_answered_with_its_result(executor: Running) -> None:
    answer = executor.run(text="good morning", headers={"X-Penstock-User": "ada"})
    result = answer.json()
    assert (answer.status_code, result["status"], result["output"]) == (200, "finished", "good morning")
    assert (result["agent"], result["version"], result["stage"], result["runtime"]) == (
        "echo",
        "1.0.0",
        "prod",
        "direct",
    )
    assert result["usage"]["totalTokens"] == 4
    assert result["release"].startswith("sha256:")
    again = httpx.get(f"{executor.url}/v1/runs/{result['runId']}")
    assert again.json() == result


def test_a_stream_is_made_of_events_and_of_tokens_without_an_id(executor: Running) -> None:
    path = f"{executor.url}/v1/agents/echo/runs?stream=true"
    with httpx.stream("POST", path, json={"input": {"text": "one two three"}}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = list(frames(answer.iter_lines()))
    stored = [frame for frame in found if "id" in frame]
    assert [frame["id"] for frame in stored] == list(range(1, len(stored) + 1))
    assert all(frame["data"]["seq"] == frame["id"] for frame in stored)
    assert [frame["data"]["type"] in TERMINAL for frame in found] == [False] * (len(found) - 1) + [True]
    tokens = [frame["data"] for frame in found if "id" not in frame]
    assert {token["type"] for token in tokens} == {"token.delta"}
    assert "".join(token["data"]["text"] for token in tokens) == "one two three"
    for frame in found:
        RunEvent.model_validate(frame["data"])


def test_events_of_a_run_go_on_after_the_last_that_was_seen(executor: Running) -> None:
    run_id = executor.run().json()["runId"]
    path = f"{executor.url}/v1/runs/{run_id}/events"
    with httpx.stream("GET", path) as answer:
        whole = list(frames(answer.iter_lines()))
    with httpx.stream("GET", path, headers={"Last-Event-ID": "2"}) as answer:
        rest = list(frames(answer.iter_lines()))
    assert whole[-1]["data"]["type"] == "run.finished"
    assert rest == whole[2:]
    assert httpx.get(path, headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_reader_joins_a_live_run_and_leaves_it_alone(executor: Running, shared: World) -> None:
    text = "joined and left"
    path = f"{executor.url}/v1/agents/echo/runs?stream=true"
    order = {"input": {"text": text, "delayMs": 200}}
    with httpx.stream("POST", path, json=order) as owner:
        seen = frames(owner.iter_lines())
        run_id = next(seen)["data"]["runId"]
        assert httpx.get(f"{executor.url}/v1/runs/{run_id}").json()["status"] == "running"
        with httpx.stream("GET", f"{executor.url}/v1/runs/{run_id}/events") as reader:
            first = next(frames(reader.iter_lines()))
            assert first["id"] == 1
        assert list(seen)[-1]["data"]["type"] == "run.finished"
    assert f"ended {text}" in shared.seen_lines()


def test_cancel_ends_the_run_and_a_second_one_is_too_late(executor: Running, shared: World) -> None:
    with httpx.stream(
        "POST", f"{executor.url}/v1/agents/echo/runs?stream=true", json={"input": {"text": "stop me", "delayMs": 9000}}
    ) as owner:
        seen = frames(owner.iter_lines())
        run_id = next(seen)["data"]["runId"]
        wait_until(lambda: "began stop me" in shared.seen_lines(), what="the model is asked")
        cancel = f"{executor.url}/v1/runs/{run_id}/cancel"
        assert httpx.post(cancel).status_code == 202
        assert list(seen)[-1]["data"]["type"] == "run.cancelled"
    assert "cancelled stop me" in shared.seen_lines()
    late = httpx.post(cancel)
    assert (late.status_code, late.json()["type"]) == (409, "urn:penstock:problem:conflict")
    assert httpx.post(f"{executor.url}/v1/runs/{GHOST}/cancel").status_code == 404


@pytest.mark.parametrize("stream", ["", "?stream=true"])
def test_a_client_that_leaves_cancels_its_run(executor: Running, shared: World, stream: str) -> None:
    text = f"left alone {stream or 'sync'}"
    body = json.dumps({"input": {"text": text, "delayMs": 9000}}).encode()
    head = f"POST /v1/agents/echo/runs{stream} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", httpx.URL(executor.url).port or 0)) as client:
        client.sendall(head.encode() + body)
        wait_until(lambda: f"began {text}" in shared.seen_lines(), what="the model is asked")
    wait_until(lambda: f"cancelled {text}" in shared.seen_lines(), what="the model sees the cancel", timeout_s=2)


def test_runs_and_sessions_are_seen_by_their_tenant_only(executor: Running) -> None:
    mine = {"X-Penstock-Tenant": "acme"}
    run_id = executor.run("talk", "hello", sessionId="s-tenant", headers=mine).json()["runId"]
    places = [f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/events", "/v1/sessions/s-tenant"]
    for headers, status in ((mine, 200), ({"X-Penstock-Tenant": "other"}, 404), ({}, 404)):
        assert [httpx.get(executor.url + place, headers=headers).status_code for place in places] == [status] * 3
    assert httpx.post(f"{executor.url}/v1/runs/{run_id}/cancel").status_code == 404


def test_a_session_remembers_what_was_said(executor: Running) -> None:
    for text in ("first", "second"):
        answer = executor.run("talk", text, sessionId="s-history")
        assert answer.json()["sessionId"] == "s-history"
    assert answer.json()["usage"]["promptTokens"] == 4  # system, user, assistant, user: a message each
    session = httpx.get(f"{executor.url}/v1/sessions/s-history").json()
    assert [agent["agent"] for agent in session["agents"]] == ["talk"]
    said = [(message["role"], message["content"]) for message in session["agents"][0]["history"]]
    assert said == [
        ("user", '{"text":"first"}'),
        ("assistant", "first"),
        ("user", '{"text":"second"}'),
        ("assistant", "second"),
    ]
    assert httpx.get(f"{executor.url}/v1/sessions/nobody").status_code == 404


def test_a_dry_run_is_not_stored(executor: Running) -> None:
    result = executor.run(mode="dry").json()
    assert (result["status"], result["mode"], result["stage"]) == ("finished", "dry", "dev")


@pytest.mark.parametrize(
    ("agent", "order", "status", "kind"),
    [
        ("echo", b"{", 400, "wrong-use"),
        ("echo", b'{"input": {"text": "a"}, "mode": "replay"}', 422, "invalid"),
        ("echo", b'{"input": {"text": "a"}, "stage": "canary"}', 404, "not-found"),
        ("echo", b'{"input": {"text": "a"}, "version": "9.0.0"}', 404, "not-found"),
        ("nobody", b'{"input": {"text": "a"}}', 404, "not-found"),
        ("echo", b'{"input": {"text": 1}}', 422, "run-rejected:schema"),
        ("echo", b'{"input": {"text": "a", "fault": true}}', 502, "run-failed:model"),
        ("echo", b'{"input": "' + b"a" * (1 << 20) + b'"}', 413, "too-large"),
    ],
)
def test_a_no_says_what_where_and_what_now(executor: Running, agent: str, order: bytes, status: int, kind: str) -> None:
    answer = httpx.post(f"{executor.url}/v1/agents/{agent}/runs", content=order)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (status, f"urn:penstock:problem:{kind}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["what"]
    assert problem["where"] or problem["now"]


def test_a_policy_that_denies_is_a_rejected_run(executor: Running) -> None:
    answer = executor.run(headers={"X-Penstock-Tenant": "stranger"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:penstock:problem:run-rejected:policy")
    stored = httpx.get(f"{executor.url}/v1/runs/{answer.json()['runId']}", headers={"X-Penstock-Tenant": "stranger"})
    assert stored.json()["status"] == "rejected"


def test_the_table_in_force_is_shown_as_unsigned(executor: Running) -> None:
    ready = httpx.get(f"{executor.url}/readyz").json()
    assert (ready["ready"], ready["unsigned"], ready["liveGeneration"], ready["problem"]) == (True, True, 1, None)
    assert ready["ageS"] < 5
    routes = httpx.get(f"{executor.url}/v1/routes").json()
    assert routes["unsigned"] is True
    assert routes["table"]["agents"]["echo"]["prod"]["version"] == "1.0.0"
    agents = httpx.get(f"{executor.url}/v1/agents").json()["agents"]
    assert [(agent["name"], agent["prod"]["version"]) for agent in agents] == [("echo", "1.0.0"), ("talk", "1.0.0")]


def test_a_report_is_never_a_page(executor: Running, shared: World) -> None:
    release = shared.store.newest_table()
    assert release is not None
    prod = release.agents["echo"].prod
    assert prod is not None
    evidence = Evidence(release=prod.release, baseline=None, stage="canary", results=[])
    digest = shared.store.put_evidence(evidence)
    for file in ("note.md", "junit.xml", "report.html"):
        shared.store.put_report(digest, file, b"<script>alert(1)</script>")
    path = f"{executor.url}/v1/reports/echo/1.0.0/{digest.removeprefix('sha256:')}"
    answer = httpx.get(f"{path}/note.md")
    assert (answer.status_code, answer.text) == (200, "<script>alert(1)</script>")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for file in ("note.md", "junit.xml", "report.html"):  # nor is a page that is none of ours
        answer = httpx.get(f"{path}/{file}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    for wrong in (
        f"{path}/report.json",
        f"{path}/../../x",
        f"{path}/report.md",
        path.replace("1.0.0", "2.0.0") + "/note.md",
    ):
        assert httpx.get(wrong).status_code == 404
    assert httpx.get(f"{executor.url}/v1/reports/echo/1.0.0/zz/note.md").status_code == 422


def test_our_own_report_is_a_page_in_an_origin_of_its_own(executor: Running, shared: World) -> None:
    table = shared.store.newest_table()
    assert table is not None
    prod = table.agents["echo"].prod
    assert prod is not None
    evidence = Evidence(release=prod.release, baseline=None, stage="prod", results=[])
    digest = shared.store.put_evidence(evidence)
    own = content_policy("a{}", "b()")
    page = f'<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="{own}"><p>text'.encode()
    shared.store.put_report(digest, "report.html", page)
    answer = httpx.get(f"{executor.url}/v1/reports/echo/1.0.0/{digest.removeprefix('sha256:')}/report.html")
    assert (answer.status_code, answer.content) == (200, page)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy == f"{own}; frame-ancestors 'none'; sandbox allow-scripts"
    assert "unsafe" not in policy


def test_openapi_describes_every_route(executor: Running) -> None:
    document = httpx.get(f"{executor.url}/openapi.json").json()
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert described == {
        ("/v1/agents/{agent}/runs", "post"),
        ("/v1/runs", "get"),
        ("/v1/runs/{run_id}", "get"),
        ("/v1/payloads", "post"),
        ("/v1/payloads/{ref_id}", "get"),
        ("/v1/runs/{run_id}/events", "get"),
        ("/v1/runs/{run_id}/cancel", "post"),
        ("/v1/runs/{run_id}/feedback", "post"),
        ("/v1/runs/{run_id}/decision", "post"),
        ("/v1/reviews", "get"),
        ("/v1/agents/{agent}/batches", "post"),
        ("/v1/batches/{batch}", "get"),
        ("/v1/batches/{batch}/results", "get"),
        ("/v1/batches/{batch}/cancel", "post"),
        ("/v1/sessions/{session_id}", "get"),
        ("/v1/runs", "get"),
        ("/v1/payloads", "post"),
        ("/v1/payloads/{ref_id}", "get"),
        ("/v1/agents", "get"),
        ("/v1/limits", "get"),
        ("/v1/routes", "get"),
        ("/v1/breakers", "get"),
        ("/v1/catalog", "get"),
        ("/v1/budgets", "get"),
        ("/v1/cost", "get"),
        ("/v1/reports/{agent}/{version}/{evidence}/{file}", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
        ("/v1/metrics/summary", "get"),
        ("/v1/alerts", "get"),
    }
    references = {part["$ref"] for part in _all(document) if "$ref" in part}
    assert references
    for reference in references:
        place: Any = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


def _all(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _all(item)
    elif isinstance(value, list):
        for item in value:
            yield from _all(item)


def test_no_web_page_reaches_it_through_a_browser(executor: Running) -> None:
    assert httpx.get(f"{executor.url}/healthz").status_code == 200
    for header in ({"Host": "evil.example.org"}, {"Origin": "https://evil.example.org"}, {"Origin": "null"}):
        answer = httpx.get(f"{executor.url}/healthz", headers=header)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:penstock:problem:refused")
    assert httpx.get(f"{executor.url}/healthz", headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_unknown_paths_and_methods_are_problems_too(executor: Running) -> None:
    unknown, wrong = httpx.get(f"{executor.url}/v2"), httpx.delete(f"{executor.url}/v1/agents")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:penstock:problem:not-found")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "urn:penstock:problem:method-not-allowed")
    assert httpx.get(f"{executor.url}/v1/agents/echo/runs").status_code == 405
