"""`agentctl judge` and `slo` on a project with released runs."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.cli.main import main
from penstock.contracts.routing_table import RoutingTable, TableSource
from penstock.errors import WrongUse
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.release.workspace import open_workspace
from penstock.scaffold.reference import reference_files
from penstock.settings import load_settings
from penstock.store.database import open_database
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.period import since
from penstock.store.runs import RunStore
from penstock.testing.executor_world import in_prod
from penstock.testing.project import Project, project

AGENT = "testcase-generator"
OPERATIONS = """\
apiVersion: penstock.dev/v1
kind: Operations
metadata: {name: default}
spec:
  alerts:
    rules: [{name: own-burn, when: burn-rate, factor: 40.0}]
"""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
Answer = tuple[int, dict[str, Any]]


@pytest.fixture
def served(tmp_path: Path) -> Project:
    """The reference on a base branch, testcase-generator 1.0.0 in prod, and a suite that scores all its live runs."""
    files: dict[str, str | bytes] = dict(
        reference_files("registry_repo", "contract_suites", "datasets", "evals", "runtimes", "pipelines")
    )
    files["pyproject.toml"] = '[tool.penstock]\ndriver = "ci"\ndefault_runtime = "direct"\n'
    suite = yaml.safe_load(files[f"evals/{AGENT}.yaml"])
    judge = {"scorer": "judge", "name": "quality", "agent": "agents/quality-judge@1.0.0", "params": {"rubric": "All."}}
    suite["spec"] |= {"scorers": [judge], "online": {"share": 1.0, "scorers": ["quality"], "costUsdPerDay": 1.0}}
    files[f"evals/{AGENT}.yaml"] = yaml.safe_dump(suite)
    made = project(files, tmp_path / "project", remote=True)
    resolved = resolve(load_registry(TreeSource(made.root)), AGENT, "1.0.0")
    releases = open_workspace(load_settings(made.root)).releases
    digest = releases.put_release(resolved.release, resolved.blobs)
    table = RoutingTable(
        lineage=releases.lineage(create=True), generation=1, created_at="2026-11-20T10:00:00.000000Z",
        source=TableSource(commit=None, kind="promote", actor="a@example.org"),
        agents={AGENT: in_prod("1.0.0", digest)},
    )  # fmt: skip
    assert releases.create_table(table)
    return made


def add_runs(made: Project, *statuses: str) -> list[str]:
    """Live runs of the release in prod that just ended."""
    table = open_workspace(load_settings(made.root)).releases.newest_table()
    assert table is not None
    prod = table.agents[AGENT].prod
    assert prod is not None
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    database = open_database(load_settings(made.root).database)
    found = (_live_run(f"r{number}", prod.release, status, at) for number, status in enumerate(statuses))
    RunStore(database).ingest(record for records in found for record in records)
    FeedbackStore(database).put(Feedback("r0", AGENT, prod.release, "prod", 1.0))
    database.close()
    return [f"r{number}" for number in range(len(statuses))]


def _live_run(run_id: str, release: str, status: str, at: str) -> Any:
    text = "Orders can be exported as files"
    error = None if status == "finished" else {"code": "schema", "what": "no", "where": "", "now": ""}
    row = {
        "runId": run_id, "agent": AGENT, "version": "1.0.0", "release": release, "stage": "prod", "mode": "live",
        "status": status, "tenant": None, "sessionId": None, "runtime": "direct", "traceId": "t", "error": error,
        "startedAt": at, "finishedAt": at, "durationMs": 1200.0, "ttftMs": None,
        "usage": {"promptTokens": 1, "completionTokens": 1, "costUsd": 0.0, "modelCalls": 1, "toolCalls": 0},
    }  # fmt: skip
    yield {"kind": "run", "run": row}
    bodies = {"input": {"requirement": text, "product": "Shop"}, "messages": [{}, {}], "output": {"summary": text}}
    for role, body in bodies.items():
        yield {"kind": "payload", "runId": run_id, "ref": role, "role": role, "body": body}


@pytest.fixture
def agentctl(served: Project, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs a command in the project with --json; returns its exit status and its document."""

    def run(*words: str) -> Answer:
        capfd.readouterr()
        status = main(["--project", str(served.root), *words, "--json"])
        return status, json.loads(capfd.readouterr().out)

    return run


def test_runs_are_judged_and_shown_beside_the_promise(served: Project, agentctl: Callable[..., Answer]) -> None:
    add_runs(served, "finished", "finished")
    status, before = agentctl("slo", AGENT)
    assert (status, before["rows"][0]["coverage"][0]["waiting"]) == (0, 2)
    status, done = agentctl("judge")
    assert (status, done["agents"][0]["scored"], done["agents"][0]["backlog"]) == (0, 2, 0)
    status, shown = agentctl("slo", AGENT, "--since", "1h")
    (row,) = shown["rows"]
    assert (status, row["outcome"], row["runs"], row["stage"]) == (0, "met", 2, "prod")
    assert row["slo"]["p95Ms"] == {"value": 1200.0, "limit": 30000, "outcome": "met", "why": ""}
    assert (row["judges"]["quality"]["n"], row["judges"]["quality"]["mean"]) == (2, 1.0)
    assert row["coverage"][0]["share"] == 1.0
    assert (row["feedback"]["n"], row["feedback"]["mean"]) == (1, 1.0)


def test_a_missed_promise_is_exit_status_1(
    served: Project, agentctl: Callable[..., Answer], capfd: pytest.CaptureFixture[str]
) -> None:
    add_runs(served, "finished", "failed")
    status, shown = agentctl("slo")
    assert (status, shown["rows"][0]["outcome"]) == (1, "missed")
    assert main(["--project", str(served.root), "slo"]) == 1
    text = capfd.readouterr().out
    assert "successRate    50.00%  [missed: at least 99.00%]" in text
    assert "0 of 2 chosen runs are scored (0.0%, less than 99%), 2 waiting" in text


def test_the_error_budget_and_how_fast_it_burns(
    served: Project, agentctl: Callable[..., Answer], capfd: pytest.CaptureFixture[str]
) -> None:
    add_runs(served, *["failed"] * 30, *["finished"] * 70)
    (row,) = agentctl("slo", "--since", "1h")[1]["rows"]
    budget = row["errorBudget"]
    assert (budget["objective"], budget["runs"], budget["failed"], budget["left"]) == (0.99, 100, 30, -29.0)
    fast, slow = row["burnRates"]
    assert (fast["name"], fast["burning"], fast["short"]["rate"]) == ("burn-fast", True, pytest.approx(30))
    assert (slow["long"]["window"], slow["short"]["window"]) == ("6h", "30m")
    served.write({"pipelines/operations.yaml": OPERATIONS})
    main(["--project", str(served.root), "slo", AGENT])
    text = capfd.readouterr().out
    assert "error budget   -2900% left: 30 of 1 failures" in text
    assert "own-burn       within: burn rate 1h 30.0, 5m 30.0, alert at 40" in text
    assert "burn-fast" not in text


def test_no_run_is_no_data_and_never_a_promise_kept(
    served: Project, agentctl: Callable[..., Answer], capfd: pytest.CaptureFixture[str]
) -> None:
    status, shown = agentctl("slo", AGENT)
    (row,) = shown["rows"]
    assert (status, row["outcome"], row["slo"]["successRate"]["value"]) == (0, "no data", None)
    main(["--project", str(served.root), "slo", AGENT])
    text = capfd.readouterr().out
    assert f"{AGENT}@1.0.0 in prod: no data" in text
    assert "error budget   no data (0 runs: one failure is allowed in 100)" in text
    assert "burn-fast      no data: burn rate 1h ?, 5m ?, alert at 14.4 (0 runs, at least 10 are needed)" in text
    assert "no data (no run)  [no data: at least 99.00%]" in text
    assert agentctl("slo", AGENT, "--stage", "canary")[1]["rows"] == []


def test_what_is_not_there_is_said(served: Project, agentctl: Callable[..., Answer]) -> None:
    status, said = agentctl("slo", "testcase-generatr")
    assert (status, said["error"]["type"]) == (1, "not-found")
    assert "testcase-generator" in said["error"]["now"]
    status, said = agentctl("judge", "testplan-generator")
    assert (status, said["error"]["type"]) == (1, "not-found")
    assert "online" in said["error"]["now"]
    assert agentctl("judge", "--once", "--watch")[0] == 2
    assert agentctl("slo", "--since", "yesterday")[0] == 2


def test_watch_scores_as_runs_come_and_ends_by_an_interrupt(served: Project) -> None:
    add_runs(served, "finished", "finished", "finished")
    words = [sys.executable, "-m", "penstock.cli.main", "judge", "--watch", AGENT]
    with subprocess.Popen(words, cwd=served.root, stdout=subprocess.PIPE, text=True, env={**os.environ}) as watching:
        assert watching.stdout is not None
        readable, _, _ = select.select([watching.stdout], [], [], 60)
        assert readable
        assert watching.stdout.readline().startswith(f"{AGENT}: 3 scored, 0 failed, 0 waiting; ")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("30m", "2026-11-20T11:30:00.000000Z"),
        ("24h", "2026-11-19T12:00:00.000000Z"),
        ("7d", "2026-11-13T12:00:00.000000Z"),
        ("2026-11-20T10:00:00+02:00", "2026-11-20T08:00:00.000000Z"),
        ("2026-11-20", "2026-11-20T00:00:00.000000Z"),
    ],
)
def test_a_period_is_a_span_or_a_moment(text: str, begun: str) -> None:
    assert since(text, now=NOW) == begun


@pytest.mark.parametrize("text", ["", "0h", "1w", "-1h", "999999d", "soon"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(WrongUse, match="is no period"):
        since(text, now=NOW)
