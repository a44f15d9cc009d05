"""Projects with old runs; a database of each kind for all tests of a module, emptied before each."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from penstock.store import tables
from penstock.testing.old_runs import OldRuns


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def shared_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("database")
    if request.param == "sqlite":
        yield f"sqlite:///{folder / 'store.db'}"
        return
    server = os.environ.get("PENSTOCK_TEST_POSTGRES")
    assert server, "PENSTOCK_TEST_POSTGRES must be the URL of a PostgreSQL that tests may make databases in"
    name = f"penstock_retention_{os.getpid()}_{folder.name}".lower()
    engine = create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield engine.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


@pytest.fixture
def world(tmp_path: Path, shared_url: str) -> Iterator[OldRuns]:
    made = OldRuns(tmp_path / "project", shared_url)
    with made.database.write() as connection:
        for table in tables.metadata.sorted_tables:
            connection.execute(table.delete())
    yield made
    made.database.close()
