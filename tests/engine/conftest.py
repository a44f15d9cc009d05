from collections.abc import Callable

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider
from penstock.testing.fake_tools import FakeTools


@pytest.fixture
def rig() -> Callable[..., Rig]:
    """An engine on the direct runtime around these fakes."""

    def make(provider: FakeProvider, tools: FakeTools | None = None) -> Rig:
        return Rig(DirectRuntime, "penstock", provider, tools or FakeTools())

    return make
