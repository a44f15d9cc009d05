"""Online scores as an asset, its job and its sensor, in process on an ephemeral instance."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.online_judge import live_runs
from penstock.orchestration.release_path import ReleasePath
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.project import Project

AGENT = "testcase-generator"
RUNS = 6


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def judged(made: Project) -> Path:
    """The project with a suite that scores every live run, and live runs of its agent."""
    suite = yaml.safe_load((made.root / f"evals/{AGENT}.yaml").read_text())
    judge = {"scorer": "judge", "agent": "agents/quality-judge@1.0.0", "params": {"rubric": "It covers the text."}}
    suite["spec"] |= {"scorers": [judge], "online": {"share": 1.0, "scorers": ["judge"], "costUsdPerDay": 1.0}}
    made.commit({f"evals/{AGENT}.yaml": yaml.safe_dump(suite)}, "Score live runs")
    made.push()
    settings = load_settings(made.root)
    resolved = resolve(load_registry(TreeSource(made.root)), AGENT, "1.0.0")
    open_workspace(settings).releases.put_release(resolved.release, resolved.blobs)
    database = open_database(settings.database)
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    records = [one for n in range(RUNS) for one in live_run(f"r{n}", resolved.release.digest, at)]
    RunStore(database).ingest(records)
    database.close()
    return made.root


def live_run(run_id: str, release: str, at: str) -> Iterator[dict[str, Any]]:
    text = "Orders can be exported as files"
    row = {
        "runId": run_id, "agent": AGENT, "version": "1.0.0", "release": release, "stage": "prod", "mode": "live",
        "status": "finished", "tenant": None, "sessionId": None, "runtime": "direct", "traceId": "t", "error": None,
        "startedAt": at, "finishedAt": at, "durationMs": 1.0, "ttftMs": None,
        "usage": {"promptTokens": 1, "completionTokens": 1, "costUsd": 0.0, "modelCalls": 1, "toolCalls": 0},
    }  # fmt: skip
    yield {"kind": "run", "run": row}
    bodies = {"input": {"requirement": text, "product": "Shop"}, "messages": [{}, {}], "output": {"summary": text}}
    for role, body in bodies.items():
        yield {"kind": "payload", "runId": run_id, "ref": role, "role": role, "body": body}


def look(root: Path, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, resources={"path": ReleasePath(root=str(root))})
    found = live_runs(context)
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return found


def test_what_is_waiting_is_seen_scored_and_told(driven: Project, instance: dg.DagsterInstance) -> None:
    root = judged(driven)
    asked = look(root, instance)
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags["penstock/due"] == f"{RUNS}"
    result = build_definitions(root).resolve_job_def("online_judge").execute_in_process(instance=instance)
    assert result.success
    (event,) = result.asset_materializations_for_node("online_scores")
    shown = {name: value.value for name, value in event.metadata.items()}
    assert (shown["scored"], shown["failed"], shown["backlog"], shown["problems"]) == (RUNS, 0, 0, [])
    assert f"| {AGENT} | {RUNS} | 0 | 0 |" in str(shown["agents"])
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("coverage", True)
    idle = look(root, instance)
    assert isinstance(idle, dg.SkipReason)
    assert idle.skip_message == "nothing is waiting"


def test_one_run_at_a_time(driven: Project, instance: dg.DagsterInstance) -> None:
    root = judged(driven)
    job = build_definitions(root).resolve_job_def("online_judge")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    found = look(root, instance)
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == f"{RUNS} scores are waiting, and a run is under way"


def test_without_online_suites_nothing_is_launched(driven: Project, instance: dg.DagsterInstance) -> None:
    suite = yaml.safe_load((driven.root / f"evals/{AGENT}.yaml").read_text())
    suite["spec"].pop("online", None)
    driven.commit({f"evals/{AGENT}.yaml": yaml.safe_dump(suite)}, "Score no live run")
    driven.push()
    found = look(driven.root, instance)
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "no suite says `online`"
