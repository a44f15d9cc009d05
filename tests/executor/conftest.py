"""Executors as real processes, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.executor_world import Running, World, make_world, stopped_at_end
from penstock.testing.postgresql import postgresql_database


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A project of one's own."""
    with stopped_at_end(make_world(tmp_path / "project")) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project with one executor for all tests of a module, which leave it as it is."""
    with stopped_at_end(make_world(tmp_path_factory.mktemp("executor") / "project")) as made:
        made.start()
        yield made


@pytest.fixture
def executor(shared: World) -> Running:
    """The module's executor."""
    return shared.running[0]


@pytest.fixture
def postgresql_url(tmp_path: Path) -> Iterator[str]:
    """An empty database of a server (marker `servers`)."""
    with postgresql_database(tmp_path.name) as url:
        yield url
