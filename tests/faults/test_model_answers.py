"""An executor over the real model library, whose provider does everything wrong: each run ends, and says why."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.contracts.release import Release
from penstock.engine.patience import ATTEMPTS
from penstock.testing.executor_world import (
    Running,
    World,
    component,
    in_prod,
    launch,
    make_release,
    make_world,
    stopped_at_end,
    wait_until,
)
from penstock.testing.model_server import ModelServer

WRONG = {
    "garbage": "cannot be read",
    "wrong-types": "cannot be read",
    "no-choices": "without choices",
    "silent": "neither text nor tool calls",
    "cut": "the connection to the provider failed",
    "status-500": "500",
    "status-401": "refused the key",
}
PASSING = {"cut", "status-500"}
"""What may be over a moment later: it is asked again before the run fails."""
FAULTS = ("", "hang", *WRONG)

TIME_MS = {"hang": 2_000}
"""The time limit of a run by its fault; else 20 s, which holds all waits between attempts (5 s at most)."""


def alone(release: Release, fault: str) -> Release:
    """The release with a time limit and a model of its own: what fails for one agent opens no breaker of another."""
    written = release.as_document()
    pinned, model = written["agent"]["document"], written["models"][0]["document"]
    model["metadata"]["name"] = f"of-{fault or 'sound'}"
    written["models"] = [component("models", model)]
    pinned["spec"] |= {"limits": {"timeoutMs": TIME_MS.get(fault, 20_000)}, "modelRef": written["models"][0]["ref"]}
    written["agent"] = component("agents", pinned)
    return Release.model_validate(written)


@pytest.fixture(scope="module")
def provider() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory, provider: ModelServer) -> Iterator[Running]:
    """One agent for each fault, all in prod."""
    with stopped_at_end(make_world(tmp_path_factory.mktemp("answers") / "project")) as world:
        agents = {}
        for fault in FAULTS:
            name = f"agent-{fault or 'sound'}"
            model = f"openai/qa-rules{'+' if fault else ''}{fault}"
            made, blobs = make_release(name, "1.0.0", model=model, parameters=provider.parameters)
            agents[name] = in_prod("1.0.0", world.store.put_release(alone(made, fault), blobs))
        world.publish(**agents)
        running = started(world)
        # The first answer is LiteLLM's slowest: what the tests ask of a call does not hold for it on a busy machine.
        wait_until(lambda: ask(running, "")[0] == 200, what="its first answer")
        yield running


def started(world: World) -> Running:
    words = ["--project", str(world.root), "serve", "--insecure-dev", "--port", "0", "--drain-s", "0"]
    running = launch([sys.executable, "-m", "penstock.cli.main", *words], world.root / "errors.txt")
    world.running.append(running)
    with running.client() as client:
        wait_until(lambda: client.get("/readyz").status_code == 200, what="ready", timeout_s=40)
    return running


def ask(executor: Running, fault: str) -> tuple[int, dict[str, Any], float]:
    begun = time.monotonic()
    answer = executor.run(f"agent-{fault or 'sound'}", "The user can log in within 5 seconds.")
    return answer.status_code, answer.json(), time.monotonic() - begun


def test_the_sound_one_answers(executor: Running) -> None:
    status, told, _ = ask(executor, "")
    assert (status, told["status"]) == (200, "finished")


@pytest.mark.parametrize(("fault", "words"), WRONG.items())
def test_a_model_that_answers_wrongly_is_a_failed_run_with_a_reason(executor: Running, fault: str, words: str) -> None:
    status, told, took_s = ask(executor, fault)
    assert (status, told["type"]) == (502, "urn:penstock:problem:run-failed:model"), told
    assert words in told["what"]
    assert fault in told["where"]
    assert told["now"]
    assert took_s < (10 if fault in PASSING else 5)
    with executor.client() as client:
        kept = client.get(f"/v1/runs/{told['runId']}").json()
        events = client.get(f"/v1/runs/{told['runId']}/events").text
    assert (kept["status"], kept["usage"]["modelCalls"]) == ("failed", 1)
    assert events.count('"llm.retried"') == (ATTEMPTS - 1 if fault in PASSING else 0)
    assert ask(executor, "")[0] == 200


def test_a_model_that_never_answers_is_a_run_that_timed_out(executor: Running, provider: ModelServer) -> None:
    status, told, took_s = ask(executor, "hang")
    assert (status, told["type"]) == (504, "urn:penstock:problem:run-timed-out")
    assert "limits.timeoutMs of 2000" in told["what"]
    assert 1.5 < took_s < 6
    wait_until(lambda: provider.statistics.in_flight == 0, what="the provider sees that nobody waits", timeout_s=1)
    assert ask(executor, "")[0] == 200
