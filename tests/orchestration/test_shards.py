"""An evaluation in shards: in one process, on Celery's workers, and with a worker killed half-way."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from sqlalchemy import create_engine, func, select, text

from penstock.gates.gate import run_gate
from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.home import prepare_home
from penstock.orchestration.shards import JOB, eval_use
from penstock.release.situation import context_at_head
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings
from penstock.store import tables
from penstock.store.database import open_database
from penstock.testing.eval_project import eval_project, questions
from penstock.testing.executor_world import wait_until
from penstock.testing.model_server import ModelServer
from penstock.testing.project import Project

CASES, SHARDS, LOST_AFTER_S = 96, 12, 20
SCORERS = "[{scorer: finished, atLeast: 0.9}, {scorer: fields, params: {expect: [{path: $.answer, minLength: 1}]}}]"
PIPELINE = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages: {dev: {gates: []}, canary: {gates: [{gate: eval}]}, prod: {gates: []}}
  canary: {steps: [{percent: 20.0}]}
"""
MODEL = """\
apiVersion: penstock.dev/v1
kind: Model
metadata: {{name: standard, version: 1.0.0, owner: qa}}
spec:
  model: openai/qa-rules+latency-{latency}
  contextTokens: 8192
  parameters: {{apiBase: "{url}", apiKey: {{secret: MODEL_KEY}}}}
  price: {{inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}
"""
CONFIG = {"agent": "clerk", "version": "1.1.0", "shards": SHARDS}
RUN_CONFIG = {"ops": {"plan_shards": {"config": CONFIG}, "shards_verdict": {"config": CONFIG}}}


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def sharded(tmp_path: Path, model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Project]:
    """A project that Dagster drives, whose model takes so many milliseconds to answer."""

    def make(latency: int) -> Project:
        monkeypatch.setenv("MODEL_KEY", "any")
        monkeypatch.setenv("PENSTOCK_DRIVER", "dagster")
        return eval_project(
            tmp_path / "project",
            cases=questions(CASES),
            scorers=SCORERS,
            suite={"concurrency": 2},
            files={
                "registry_repo/models/standard/1.0.0.yaml": MODEL.format(url=model.url, latency=latency),
                "registry_repo/stages/clerk.yaml": None,
                "pipelines/release.yaml": PIPELINE,
                "pipelines/definitions.py": "from penstock.orchestration.definitions import defs\n",
            },
        )

    return make


def verdict_in_process(root: Path) -> dict[str, Any]:
    workspace = open_workspace(load_settings(root))
    workspace.releases.lineage(create=True)
    context = context_at_head(workspace, "clerk", "1.1.0")
    result = run_gate(context, eval_use(context.registry)).as_document()
    workspace.close()
    return result


def what_counts(result: dict[str, Any]) -> dict[str, Any]:
    """The verdict and its grounds, without what is of the moment."""
    cases = result["artifacts"]["cases"]
    return {
        "outcome": result["outcome"],
        "reason": result["reason"],
        "inputs": result["inputs"],
        "scorers": result["artifacts"]["scorers"],
        "cases": [{name: case[name] for name in ("id", "status", "candidate")} for case in cases],
    }


def rows(url: str, table: Any) -> int:
    database = open_database(url)
    with database.read() as connection:
        count = int(connection.scalar(select(func.count()).select_from(table)) or 0)
    database.close()
    return count


def test_shards_in_one_process_come_to_the_gates_own_verdict(sharded: Callable[[int], Project]) -> None:
    root = sharded(0).root
    job = build_definitions(root).resolve_job_def(JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(run_config=RUN_CONFIG, instance=instance)
    assert done.success
    result = done.output_for_node("shards_verdict")
    made = [part["made"] for part in done.output_for_node("run_shard").values()]
    assert made == [CASES // SHARDS] * SHARDS
    assert result["artifacts"]["run"]["reused"] == CASES
    assert what_counts(result) == what_counts(verdict_in_process(root))


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """PostgreSQL with a database of its own, and Redis as broker; returns the database's URL."""
    server, redis = os.environ.get("PENSTOCK_TEST_POSTGRES"), os.environ.get("PENSTOCK_TEST_REDIS")
    assert server, "PENSTOCK_TEST_POSTGRES must be the URL of a PostgreSQL that tests may make databases in"
    assert redis, "PENSTOCK_TEST_REDIS must be the URL of a Redis that tests may use"
    name = f"penstock_shards_{os.getpid()}"
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = engine.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", url)
    monkeypatch.setenv("PENSTOCK_CELERY_BROKER", redis)
    monkeypatch.setenv("PENSTOCK_SHARD_SECONDS", str(LOST_AFTER_S))
    yield url
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


class Workers:
    """Celery's workers, each a process group of its own."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root, self.home = root, home
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        log = (self.root / f"{name}.log").open("wb")
        app = ["-m", "celery", "-A", "penstock.orchestration.celery_app", "worker", "-Q", "dagster", "-n", f"{name}@%h"]
        self.running[name] = subprocess.Popen(
            [sys.executable, *app, "--loglevel", "INFO"],
            cwd=self.root,
            env={**os.environ, "DAGSTER_HOME": str(self.home)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    def is_ready(self, name: str) -> bool:
        return "ready." in self.log(name)

    def log(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text()

    def shards_of(self, name: str) -> int:
        return self.log(name).count("received")

    def both_have_shards(self) -> bool:
        return min(self.shards_of(name) for name in ("one", "two")) >= 2

    def kill(self, name: str) -> None:
        os.killpg(self.running[name].pid, signal.SIGKILL)
        self.running.pop(name).wait(10)

    def stop(self) -> None:
        for one in self.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGTERM)
        for one in self.running.values():
            try:
                one.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(one.pid, signal.SIGKILL)
                one.wait(10)


@pytest.fixture
def workers(sharded: Callable[[int], Project], servers: str) -> Iterator[Workers]:
    root = sharded(100).root
    made = Workers(root, prepare_home(load_settings(root)))
    open_database(servers).close()
    for name in ("one", "two"):
        made.start(name)
    try:
        for name in ("one", "two"):
            wait_until(partial(made.is_ready, name), what=f"worker {name} is ready", timeout_s=90)
        yield made
    finally:
        made.stop()


def launch(workers: Workers) -> subprocess.Popen[bytes]:
    """The job as an operator launches it."""
    config = workers.root / "shards.yaml"
    config.write_text(yaml.safe_dump(RUN_CONFIG))
    words = ["-m", "dagster", "job", "execute", "-f", "pipelines/definitions.py", "-j", JOB, "-c", str(config)]
    environment = {**os.environ, "DAGSTER_HOME": str(workers.home)}
    log = (workers.root / "job.log").open("wb")
    started = subprocess.Popen([sys.executable, *words], cwd=workers.root, env=environment, stdout=log, stderr=log)
    log.close()
    return started


def stored_result(root: Path) -> dict[str, Any]:
    """What the job kept in the records."""
    workspace = open_workspace(load_settings(root))
    context = context_at_head(workspace, "clerk", "1.1.0")
    results = list(workspace.records.results(context.release.digest))
    workspace.close()
    assert len(results) == 1
    return results[0].as_document()


@pytest.mark.servers
@pytest.mark.xdist_group("celery")
def test_two_workers_share_the_shards_and_one_that_is_killed_loses_none(
    workers: Workers, servers: str, model: ModelServer
) -> None:
    job = launch(workers)
    try:
        wait_until(lambda: rows(servers, tables.trials) >= CASES // 4, what="a quarter of the trials", timeout_s=90)
        wait_until(workers.both_have_shards, what="both workers have shards", timeout_s=30)
        workers.kill("two")
        assert job.wait(120) == 0, (workers.root / "job.log").read_text()[-4000:]
    finally:
        if job.poll() is None:
            job.kill()
            job.wait(10)
    assert rows(servers, tables.trials) == CASES
    asked = model.statistics.requests
    assert CASES <= asked <= CASES + CASES // SHARDS  # beyond each case once: what one shard had in hand
    result = stored_result(workers.root)
    assert result["artifacts"]["run"]["reused"] == CASES
    assert what_counts(result) == what_counts(verdict_in_process(workers.root))
