import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from penstock.store.database import Database, open_database
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore

CrashRounds = Callable[[], int]


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(FolderStore(str(tmp_path / "releases")))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own, empty; PostgreSQL by PENSTOCK_TEST_POSTGRES, which must be there where it is asked for."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    from sqlalchemy import create_engine

    server = os.environ.get("PENSTOCK_TEST_POSTGRES")
    assert server, "PENSTOCK_TEST_POSTGRES must be the URL of a PostgreSQL that tests may make databases in"
    name = f"penstock_test_{os.getpid()}_{tmp_path.name.replace('-', '_')[:30]}".lower()
    url = server.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}"'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield engine.url.set(database=name, drivername="postgresql").render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    engine.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()
