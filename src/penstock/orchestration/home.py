"""DAGSTER_HOME of a project: its configuration, and its storage made once before several processes open it."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import yaml
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from penstock.errors import Unavailable
from penstock.orchestration.pools import set_pools
from penstock.settings import Settings

MIGRATE_WITHIN_S = 120
SCHEMA = "dagster"
NO_TELEMETRY = {"DAGSTER_DISABLE_TELEMETRY": "1"}
"""Keeps Dagster's processes from sending the files in DAGSTER_HOME/logs, which dagster.yaml alone does not."""

CONFIGURATION = """\
# Written by agentctl; change it by PENSTOCK_DATABASE_URL or in a DAGSTER_HOME of your own.
telemetry: {enabled: false}
nux: {enabled: false}
run_retries: {enabled: false}
run_monitoring: {enabled: true, poll_interval_seconds: 20, free_slots_after_run_end_seconds: 20}
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config: {dequeue_interval_seconds: 1}
concurrency:
  runs:
    max_concurrent_runs: 4
    tag_concurrency_limits:
      - {key: penstock/agent, value: {applyLimitPerUniqueValue: true}, limit: 1}
  pools: {default_limit: 1, granularity: op}
"""


def prepare_home(settings: Settings) -> Path:
    """Lays the folder down and makes its storage, under a lock: a fresh one opened by several at once breaks for good.

    Raises `Unavailable` when the storage cannot be made.
    """
    home = settings.state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (home / "dagster.yaml").write_text(CONFIGURATION + storage(settings.database))
        make_schema(settings.database)
        command = [sys.executable, "-m", "dagster", "instance", "migrate"]
        environment = {**os.environ, **NO_TELEMETRY, "DAGSTER_HOME": str(home)}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=MIGRATE_WITHIN_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unavailable("Dagster's storage was not made in time", where=str(home), now="try again") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unavailable(f"Dagster's storage cannot be made: {last}", where=str(home), now="see its dagster.yaml")
    set_pools(home, settings.evals_at_once)
    return home


def make_schema(database_url: str) -> None:
    """Makes Dagster's schema in PostgreSQL: it too has a table `runs`. Raises `Unavailable`."""
    url = make_url(database_url)
    if not url.drivername.startswith("postgresql"):
        return
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    except SQLAlchemyError as error:
        what = f"Dagster's schema cannot be made: {str(error).splitlines()[0]}"
        raise Unavailable(what, where=url.render_as_string(), now="check PENSTOCK_DATABASE_URL") from None
    finally:
        engine.dispose()


def storage(database_url: str) -> str:
    """Dagster's storage beside ours: PostgreSQL where Penstock uses it, else Dagster's own files in its home.

    dagster-postgres speaks psycopg2 only, so the driver is named.
    """
    url = make_url(database_url)
    if not url.drivername.startswith("postgresql"):
        return ""
    database = {
        "username": url.username or "",
        "password": url.password or "",
        "hostname": url.host or "localhost",
        "db_name": url.database or "",
        "port": url.port or 5432,
        "scheme": "postgresql+psycopg2",
        "params": {"options": f"-c search_path={SCHEMA}"},
    }
    return yaml.safe_dump({"storage": {"postgres": {"postgres_db": database}}})
