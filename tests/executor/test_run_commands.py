"""`agentctl run`, `runs`, `events`, `cancel` and `replay`."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.cli.main import main
from penstock.testing.executor_world import Running, World, wait_until

Agentctl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def agentctl(shared: World, capfd: pytest.CaptureFixture[str]) -> Agentctl:
    """Runs a command in the shared project; returns its exit status, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main(["--project", str(shared.root), *words])
        told = capfd.readouterr()
        return status, told.out, told.err

    return run


def given(text: str, **more: Any) -> str:
    return json.dumps({"text": text, **more})


def stored_run(executor: Running, agentctl: Agentctl, text: str) -> str:
    """A run that the database has."""
    run_id: str = executor.run(text=text).json()["runId"]
    wait_until(lambda: agentctl("events", run_id)[0] == 0 and run_id in agentctl("runs")[1], what="the run is stored")
    return run_id


def test_run_prints_the_output_and_says_the_rest_on_stderr(executor: Running, agentctl: Agentctl) -> None:
    status, out, err = agentctl("run", "echo", "--input", given("hello there"), "--server", executor.url)
    assert (status, out) == (0, "hello there\n")
    assert err.startswith("finished: echo@1.0.0 (prod, direct), ")


def test_run_streams(executor: Running, agentctl: Agentctl) -> None:
    status, out, _ = agentctl("run", "echo", "--input", given("a b c"), "--server", executor.url, "--stream")
    assert (status, out) == (0, "a b c\n")
    status, out, err = agentctl("run", "echo", "--input", given("a b"), "--server", executor.url, "--stream", "--json")
    assert (status, json.loads(out)["output"]) == (0, "a b")
    assert err.startswith("a b\n")


def test_run_reads_a_file(executor: Running, agentctl: Agentctl, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text(given("from a file"))
    status, out, _ = agentctl(
        "run", "echo", "--input", str(tmp_path / "input.json"), "--server", executor.url, "--user", "ada", "--json"
    )
    assert (status, json.loads(out)["output"]) == (0, "from a file")


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["echo", "--input", given("x", fault=True)], 1, "the model fell over"),
        (["echo", "--input", '{"text": 1}'], 1, "/text: 1 is not of type"),
        (["echo", "--input", given("x"), "--tenant", "stranger"], 1, "may not be run here"),
        (["echo", "--input", given("x"), "--stage", "canary"], 1, "stands nowhere"),
        (["nobody", "--input", given("x")], 1, "no agent 'nobody'"),
        (["echo", "--input", "no-such-file.json"], 2, "cannot be read"),
        (["echo", "--input", "{"], 2, "not JSON"),
    ],
)
def test_run_says_what_stands_against_it(
    executor: Running, agentctl: Agentctl, words: list[str], status: int, told: str
) -> None:
    found, out, err = agentctl("run", *words, "--server", executor.url)
    assert (found, out) == (status, "")
    assert told in err


def test_a_server_that_is_away_is_the_environments_fault(agentctl: Agentctl) -> None:
    status, _, err = agentctl("run", "echo", "--input", "[1]", "--server", "http://127.0.0.1:9")
    assert (status, "does not answer" in err) == (3, True)
    assert agentctl("run", "echo", "--input", "[1]", "--server", "127.0.0.1")[0] == 2


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_ctrl_c_cancels_the_run_on_the_executor(executor: Running, shared: World, stream: list[str]) -> None:
    text = f"interrupted{'-'.join(stream)}"
    words = ["run", "echo", "--input", given(text, delayMs=15_000), "--server", executor.url, *stream]
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock.cli.main", "--project", str(shared.root), *words], env=dict(os.environ)
    )
    try:
        wait_until(lambda: f"began {text}" in shared.seen_lines(), what="the model is asked")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: f"cancelled {text}" in shared.seen_lines(), what="the model sees the cancel", timeout_s=3)


def test_cancel(executor: Running, shared: World, agentctl: Agentctl) -> None:
    path = f"{executor.url}/v1/agents/echo/runs?stream=true"
    with httpx.stream("POST", path, json={"input": {"text": "to cancel", "delayMs": 15_000}}) as answer:
        lines = answer.iter_lines()
        run_id = next(json.loads(line[6:])["runId"] for line in lines if line.startswith("data: "))
        status, out, _ = agentctl("cancel", run_id, "--server", executor.url, "--json")
        assert (status, json.loads(out)) == (0, {"runId": run_id, "cancel": "requested"})
        assert any('"run.cancelled"' in line for line in lines)
    status, _, err = agentctl("cancel", run_id, "--server", executor.url)
    assert (status, "has ended already" in err) == (1, True)


def test_runs_and_events_show_what_is_stored(executor: Running, agentctl: Agentctl) -> None:
    run_id = stored_run(executor, agentctl, "to be listed")
    listed = json.loads(agentctl("runs", "--agent", "echo", "--status", "finished", "--json")[1])["runs"]
    assert {run["agent"] for run in listed} == {"echo"}
    assert run_id in {run["runId"] for run in listed}
    assert agentctl("runs", "--agent", "nobody") == (0, "no runs\n", "")
    events = json.loads(agentctl("events", run_id, "--json")[1])["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "run.finished"
    status, out, _ = agentctl("events", run_id, "--follow")
    assert (status, len(out.splitlines())) == (0, len(events))
    assert agentctl("events", run_id, "--server", executor.url)[1] == out
    assert agentctl("events", "nothing")[0] == 1


def test_spans_of_a_run_add_up_to_what_it_used(executor: Running, agentctl: Agentctl) -> None:
    run_id = stored_run(executor, agentctl, "to be traced")
    used = json.loads(agentctl("runs", "--json")[1])["runs"][0]["usage"]
    run, *calls = json.loads(agentctl("events", run_id, "--spans", "--json")[1])["spans"]
    assert [call["parentSpanId"] for call in calls] == [run["spanId"]]
    assert run["attributes"]["gen_ai.usage.input_tokens"] == used["promptTokens"]
    assert calls[0]["name"].startswith("chat ")
    status, out, _ = agentctl("events", run_id, "--spans")
    assert (status, len(out.splitlines())) == (0, 2)
    assert agentctl("events", run_id, "--spans", "--follow")[0] == 2


def test_replay_asks_nobody_and_finds_no_difference(executor: Running, shared: World, agentctl: Agentctl) -> None:
    run_id = stored_run(executor, agentctl, "to be replayed")
    asked = shared.seen_lines()
    status, out, _ = agentctl("replay", "--run-id", run_id, "--json")
    document = json.loads(out)
    assert (status, document["differences"], document["error"]) == (0, [], None)
    assert (document["sequenceEqual"], document["outputEqual"]) == (True, True)
    assert document["figures"]["modelCalls"] == {"stored": 1, "replayed": 1}
    assert shared.seen_lines() == asked
    status, out, _ = agentctl("replay", "--runId", run_id, "--runtime", "direct")
    assert (status, out.splitlines()[-1].split()) == (0, ["output", "equal"])


def test_replay_names_what_differs(executor: Running, shared: World, agentctl: Agentctl) -> None:
    run_id = stored_run(executor, agentctl, "to be forged")
    with sqlite3.connect(shared.root / ".penstock/store.db") as database:
        database.execute("UPDATE payloads SET body = '\"forged\"' WHERE run_id = ? AND role = 'output'", (run_id,))
    database.close()
    status, out, _ = agentctl("replay", "--run-id", run_id, "--json")
    assert (status, json.loads(out)["differences"]) == (1, ["output"])


def test_replay_says_why_it_cannot(executor: Running, agentctl: Agentctl) -> None:
    run_id = stored_run(executor, agentctl, "to be asked for")
    status, _, err = agentctl("replay", "--run-id", run_id, "--runtime", "none")
    assert (status, "no runtime 'none' is declared" in err) == (1, True)
    status, _, err = agentctl("replay", "--run-id", "nothing")
    assert (status, "no such run" in err) == (1, True)
