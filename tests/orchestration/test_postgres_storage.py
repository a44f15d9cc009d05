"""Where Penstock's database is PostgreSQL, Dagster keeps its own there too, and takes a release to dev."""

import os
from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.home import prepare_home
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings
from penstock.testing.project import Project

KEY = "testcase-generator@1.0.0"


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = os.environ.get("PENSTOCK_TEST_POSTGRES")
    assert server, "PENSTOCK_TEST_POSTGRES must be the URL of a PostgreSQL that tests may make databases in"
    name = f"penstock_dagster_{os.getpid()}"
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = engine.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", url)
    yield url
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


@pytest.mark.servers
def test_dagster_keeps_its_runs_in_postgresql(driven: Project, postgres: str) -> None:
    settings = load_settings(driven.root)
    home = prepare_home(settings)
    job = build_definitions(driven.root).resolve_job_def("release_to_dev")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("release", [KEY])
        assert job.execute_in_process(partition_key=KEY, instance=instance).success
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
    assert not list(home.glob("**/*.db"))
    table = open_workspace(settings).releases.newest_table()
    assert table is not None
    assert [entry.version for entry in table.agents["testcase-generator"].dev] == ["1.0.0"]
