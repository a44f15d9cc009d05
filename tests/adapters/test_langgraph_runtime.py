from penstock.adapters.langgraph import LangGraphRuntime
from penstock.testing.conformance import RuntimeConformance


class TestLangGraph(RuntimeConformance):
    adapter = LangGraphRuntime
    distribution = "langgraph"
