from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.store.database import Database, open_database
from penstock.store.folder import FolderStore
from penstock.store.releases import ReleaseStore
from penstock.testing.postgresql import postgresql_database

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
    with postgresql_database(tmp_path.name) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url)
    yield opened
    opened.close()
