from penstock.adapters.direct import DirectRuntime
from penstock.testing.conformance import RuntimeConformance


class TestDirect(RuntimeConformance):
    adapter = DirectRuntime
