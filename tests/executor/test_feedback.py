"""What users say of a run: `POST /v1/runs/{id}/feedback` and `agentctl feedback`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.cli.main import main
from penstock.testing.executor_world import Running, World, wait_until

Agentctl = Callable[..., tuple[int, str, str]]
GHOST = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
def agentctl(shared: World, capfd: pytest.CaptureFixture[str]) -> Agentctl:
    """Runs a command in the shared project; returns its exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(["--project", str(shared.root), *words])
        told = capfd.readouterr()
        return status, told.out, told.err

    return run


def said(executor: Running, run_id: str, document: Any, **headers: str) -> httpx.Response:
    sent = {f"x-penstock-{name}": value for name, value in headers.items()}
    return httpx.post(f"{executor.url}/v1/runs/{run_id}/feedback", json=document, headers=sent)


def shown(executor: Running, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{executor.url}/v1/runs/{run_id}").json().get("feedback", [])
    return found


def test_a_word_is_stored_with_the_run_and_the_newest_counts(executor: Running) -> None:
    run_id = executor.run().json()["runId"]
    assert "feedback" not in httpx.get(f"{executor.url}/v1/runs/{run_id}").json()
    first = said(executor, run_id, {"rating": "down", "comment": "too short"}, user="ada")
    assert (first.status_code, first.json()["replaced"]) == (200, False)
    second = said(executor, run_id, {"rating": 0.5, "corrected": {"text": "hello"}}, user="ada")
    assert (second.status_code, second.json()["replaced"]) == (200, True)
    (found,) = shown(executor, run_id)
    assert (found["rating"], found["user"], found["corrected"]) == (0.5, "ada", {"text": "hello"})
    assert "comment" not in found
    said(executor, run_id, {"rating": "up"})
    assert [one["user"] for one in shown(executor, run_id)] == [None, "ada"]


def test_personal_data_and_keys_never_reach_the_database(executor: Running, shared: World) -> None:
    run_id = executor.run().json()["runId"]
    key = "sk-" + "a1B2" * 10
    order = {"rating": "down", "comment": "mail ada@example.org", "corrected": {"note": f"key {key}"}}
    answer = said(executor, run_id, order).json()
    assert answer["feedback"]["comment"] == "mail [EMAIL]"
    assert answer["redacted"] == {"EMAIL": 1, "KEY": 1}
    files = [*shared.root.joinpath(".penstock").rglob("*")]
    stored = b"".join(file.read_bytes() for file in files if file.is_file())
    assert b"[EMAIL]" in stored
    assert b"ada@example.org" not in stored
    assert key.encode() not in stored


def test_another_tenants_run_is_not_there(executor: Running) -> None:
    run_id = executor.run(headers={"X-Penstock-Tenant": "acme"}).json()["runId"]
    assert said(executor, run_id, {"rating": "up"}).status_code == 404
    assert said(executor, run_id, {"rating": "up"}, tenant="other").status_code == 404
    assert said(executor, run_id, {"rating": "up"}, tenant="acme").status_code == 200
    assert said(executor, GHOST, {"rating": "up"}).status_code == 404


def test_a_run_that_no_user_has_seen_takes_none(executor: Running) -> None:
    dry = executor.run(mode="dry").json()["runId"]
    answer = said(executor, dry, {"rating": "up"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:penstock:problem:conflict")
    path = f"{executor.url}/v1/agents/echo/runs?stream=true"
    with httpx.stream("POST", path, json={"input": {"text": "a b c", "delayMs": 300}}) as going:
        lines = going.iter_lines()  # closed, it would close the connection and so cancel the run
        line = next(line for line in lines if line.startswith("data: "))
        running = said(executor, json.loads(line[6:])["runId"], {"rating": "up"})
    assert (running.status_code, running.json()["what"]) == (409, "the run has not ended yet")


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({}, ["rating"]),
        ({"rating": 2}, ["rating"]),
        ({"rating": True}, ["rating"]),
        ({"rating": "good", "comment": "", "stars": 5}, ["comment", "rating", "stars"]),
        ({"rating": 1, "comment": "x" * 4001}, ["comment"]),
        ({"rating": 1, "corrected": "x" * 70_000}, ["corrected"]),
        ([1], [""]),
    ],
)
def test_every_fault_is_named(executor: Running, document: Any, pointers: list[str]) -> None:
    run_id = executor.run().json()["runId"]
    answer = said(executor, run_id, document)
    assert answer.status_code == 422
    assert sorted(fault["pointer"] for fault in answer.json()["faults"]) == pointers
    assert shown(executor, run_id) == []


def test_bodies_are_bounded_and_must_be_json(executor: Running) -> None:
    path = f"{executor.url}/v1/runs/{GHOST}/feedback"
    assert httpx.post(path, content=b"{").status_code == 400
    assert httpx.post(path, content=b" " * ((1 << 20) + 1)).status_code == 413


def test_openapi_describes_it(executor: Running) -> None:
    document = httpx.get(f"{executor.url}/openapi.json").json()
    operation = document["paths"]["/v1/runs/{run_id}/feedback"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Feedback")
    assert document["components"]["schemas"]["Feedback"]["required"] == ["rating"]


def test_the_command_tells_the_database_or_an_executor(executor: Running, agentctl: Agentctl, tmp_path: Path) -> None:
    run_id = executor.run(text="rated").json()["runId"]
    wait_until(lambda: agentctl("events", run_id)[0] == 0 and run_id in agentctl("runs")[1], what="the run is stored")
    (tmp_path / "better.json").write_text('{"text": "better"}')
    words = ["feedback", run_id, "--rating", "down", "--corrected", str(tmp_path / "better.json"), "--user", "ada"]
    status, out, _ = agentctl(*words)
    assert (status, out) == (0, f"{run_id}: -1\n")
    status, out, _ = agentctl(*words, "--comment", "call +49 170 1234567", "--server", executor.url, "--json")
    assert (status, json.loads(out)["replaced"]) == (0, True)
    assert [one["comment"] for one in shown(executor, run_id)] == ["call [PHONE]"]
    assert agentctl("feedback", run_id, "--rating", "nan")[0] == 1
    assert agentctl("feedback", GHOST, "--rating", "up")[0] == 1
    assert agentctl("feedback", run_id, "--rating", "up", "--corrected", str(tmp_path / "none.json"))[0] == 2


def test_without_the_database_it_says_so_and_runs_go_on(world: World) -> None:
    (world.root / ".penstock").mkdir(exist_ok=True)
    running = world.start(environment={"PENSTOCK_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}, ready=False)
    wait_until(lambda: running.run().status_code == 200, what="it serves")
    run_id = running.run().json()["runId"]
    assert said(running, run_id, {"rating": "up"}).status_code == 503
    assert httpx.get(f"{running.url}/v1/runs/{run_id}").status_code == 200
