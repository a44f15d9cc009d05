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


def test_a_merge_reaches_canary_by_records_alone(driven: Project, tmp_path: Path, household: Household) -> None:
    releases = open_workspace(load_settings(driven.root)).releases

    def routes() -> Any:
        table = releases.newest_table()
        return table.agents.get(AGENT) if table is not None else None

    until("dev", lambda: routes() and routes().dev, household)

    driven.git("pull", "--quiet", "origin", "main")
    asked = agentctl(driven.root, driven.root, "promote", KEY, "--to", "canary", "--wait", "0")
    assert asked["outcome"] == "waiting"
    assert routes().canary is None

    approver = driven.clone(tmp_path / "approver", APPROVER)
    plan = agentctl(approver.root, driven.root, "plan", KEY, "--to", "canary")
    evidence = plan["evidence"]["evidence"]
    approved = agentctl(
        approver.root, driven.root, "approve", KEY, "--to", "canary", "--report", evidence, "--comment", "looks right"
    )
    assert approved["exit"] == 0, approved

    until("canary", lambda: routes().canary, household)
    assert routes().canary.version == "1.0.0"
    assert releases.answers()[asked["request"]]["outcome"] == "done"

    ready = until("served", lambda: httpx.get(f"{household.executor_url}/readyz").status_code == 200, household)
    assert ready
    query = "{ assetNodes { assetKey { path } } }"
    shown = httpx.post(f"{household.dagster_url}/graphql", json={"query": query}, timeout=30).json()
    keys = {"/".join(node["assetKey"]["path"]) for node in shown["data"]["assetNodes"]}
    assert {"release", "dev_evidence", "canary_route", f"env/canary/{AGENT}", "release_board"} <= keys
