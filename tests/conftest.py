"""How the tests are shared out among the workers of one run, and how often those look for garbage."""

import gc
from pathlib import Path

import pytest

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


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether the test uses a fixture that lasts for its module."""
    known = getattr(item, "_fixtureinfo", None)
    return known is not None and any(
        fixture.scope == "module" for fixtures in known.name2fixturedefs.values() for fixture in fixtures
    )
