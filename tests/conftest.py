"""How the tests are shared out among the workers of one run, and how often those look for garbage."""

import gc
from pathlib import Path

import pytest
from _pytest.nodeid import coerce_node_id

HERE = Path(__file__).parent

# A worker holds all that was ever imported: the usual thresholds look through it again every few seconds.
gc.set_threshold(100_000, 20, 100)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their file or folder run in one worker, where it is made once.

    Groups begin first: most long tests are in one, and a long one at the end leaves the other workers idle.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(HERE))))
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    if items and items[0].config.getoption("loadgroup", False):
        for item in items:
            _name_group(item)


def _name_group(item: pytest.Item) -> None:
    """Puts the test's group behind its id, where xdist looks for it.

    xdist 3.8 writes it into an attribute that pytest 9.2 no longer reads: without this no group is ever held together.
    """
    group = item.get_closest_marker("xdist_group")
    if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
        item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether the test uses a fixture that lasts for its module."""
    known = getattr(item, "_fixtureinfo", None)
    return known is not None and any(
        fixture.scope == "module" for fixtures in known.name2fixturedefs.values() for fixture in fixtures
    )
