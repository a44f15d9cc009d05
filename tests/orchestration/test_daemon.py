"""The whole path with `driver = dagster`: a real daemon follows real commits; people only write records."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.orchestration.household import Household, free_port
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings
from penstock.testing.project import Project

AGENT = "testcase-generator"
APPROVER = ("Ben Approver", "approver@example.com")

KEY = f"{AGENT}@1.0.0"
WITHIN_S = 120
pytestmark = pytest.mark.xdist_group("daemon")


@pytest.fixture
def household(driven: Project) -> Iterator[Household]:
    made = Household(load_settings(driven.root), free_port(0), free_port(0))
    made.start()
    try:
        yield made
    finally:
        made.stop()


def until(what: str, found: Callable[[], Any], household: Household) -> Any:
    ends = time.monotonic() + WITHIN_S
    while time.monotonic() < ends:
        value = found()
        if value:
            return value
        assert household.ended() is None
        time.sleep(0.2)
    logs = {path.name: path.read_text()[-3000:] for path in household.logs.glob("*.log")}
    raise AssertionError(f"{what}: not within {WITHIN_S} s\n{logs}")


def agentctl(clone: Path, owner: Path, *words: str) -> dict[str, Any]:
    state = owner / ".penstock"
    environment = {
        **os.environ,
        "PENSTOCK_RELEASES_URL": str(state / "releases"),
        "PENSTOCK_DATABASE_URL": f"sqlite:///{state / 'store.db'}",
    }
    command = [sys.executable, "-m", "penstock.cli.main", *words, "--json"]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.stdout, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document | {"exit": done.returncode}


def ask(project: Project, clone: Project, stage: str) -> tuple[str, str]:
    """Stores a request for `stage`, seen by the driver at once; returns its digest and the outcome so far."""
    clone.git("pull", "--quiet", "origin", "main")
    asked = agentctl(clone.root, project.root, "promote", KEY, "--to", stage, "--wait", "0")
    return asked["request"], asked["outcome"]


def approve(project: Project, clone: Project, stage: str, household: Household) -> None:
    """Approves what the plan shows, once its gates have passed; looks again where other evidence came meanwhile."""

    def passed() -> Any:
        clone.git("pull", "--quiet", "origin", "main")
        evidence = agentctl(clone.root, project.root, "plan", KEY, "--to", stage)["evidence"]
        return evidence["evidence"] if evidence["verdict"] == "passed" else None

    def approved() -> Any:
        evidence = until(f"evidence before {stage}", passed, household)
        words = ("--to", stage, "--report", evidence, "--comment", "looks right")
        said = agentctl(clone.root, project.root, "approve", KEY, *words)
        assert said["exit"] == 0 or said["error"]["type"] == "conflict", said
        return said["exit"] == 0

    until(f"approval for {stage}", approved, household)


def live_runs(project: Project, count: int, household: Household) -> None:
    """Sends `count` requests at stage canary, and waits until they are stored."""
    until("served", lambda: httpx.get(f"{household.executor_url}/readyz").status_code == 200, household)
    until("canary in the executor", lambda: agents(household)[AGENT]["canary"], household)
    body = {"stage": "canary", "input": {"requirement": "The user can export the report.", "product": "Shop"}}
    for _ in range(count):
        done = httpx.post(f"{household.executor_url}/v1/agents/{AGENT}/runs", json=body, timeout=60)
        assert done.status_code == 200, done.text
    listed = ("runs", "--agent", AGENT, "--stage", "canary", "--limit", "100")
    until("stored", lambda: len(agentctl(project.root, project.root, *listed)["runs"]) >= count, household)


def agents(household: Household) -> dict[str, Any]:
    listed = httpx.get(f"{household.executor_url}/v1/agents").json()["agents"]
    return {agent["name"]: agent for agent in listed}


def test_a_merge_reaches_prod_by_records_alone(driven: Project, tmp_path: Path, household: Household) -> None:
    releases = open_workspace(load_settings(driven.root)).releases
    approver = driven.clone(tmp_path / "approver", APPROVER)

    def routes() -> Any:
        table = releases.newest_table()
        return table.agents.get(AGENT) if table is not None else None

    until("the store", (driven.root / ".penstock" / "releases" / "lineage.json").exists, household)
    until("dev", lambda: routes() and routes().dev, household)

    to_canary, outcome = ask(driven, driven, "canary")
    assert (outcome, routes().canary) == ("waiting", None)
    approve(driven, approver, "canary", household)
    until("canary", lambda: routes().canary, household)
    assert routes().canary.version == "1.0.0"

    live_runs(driven, 30, household)
    to_prod, outcome = ask(driven, driven, "prod")
    assert (outcome, routes().prod) == ("waiting", None)
    approve(driven, driven, "prod", household)
    until("prod", lambda: routes().prod, household)
    assert (routes().prod.version, routes().canary) == ("1.0.0", None)
    until("answers", lambda: {to_canary, to_prod} <= releases.answers().keys(), household)
    assert {answer["outcome"] for answer in releases.answers().values()} == {"done"}

    query = "{ assetNodes { assetKey { path } } }"
    shown = httpx.post(f"{household.dagster_url}/graphql", json={"query": query}, timeout=30).json()
    keys = {"/".join(node["assetKey"]["path"]) for node in shown["data"]["assetNodes"]}
    assert {"release", "dev_evidence", "prod_route", f"env/prod/{AGENT}", "release_board", "dataset_checks"} <= keys
    # Dagster takes logs that lie in its home away, to send them.
    assert {path.name for path in household.logs.glob("*.log")} == {"executor.log", "webserver.log", "daemon.log"}
