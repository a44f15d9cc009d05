"""Caches that could leave out what a tool writes are faults."""

import pytest

from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.testing.project import Project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"
TOOL = "registry_repo/tools/search/1.0.0.yaml"


@pytest.mark.parametrize(
    ("side_effects", "expected"),
    [
        ("read", []),
        ("none", []),
        (
            "write",
            [
                "agents/writer/1.0.0.yaml:9:3: spec.cache: an answer given again would leave out what tools/",
                "tools/search/1.0.0.yaml:9:3: spec.cache: a tool that writes has to be called each time",
            ],
        ),
    ],
)
def test_what_writes_has_no_cache(small: Project, side_effects: str, expected: list[str]) -> None:
    agent, tool = (small.root / AGENT).read_text(), (small.root / TOOL).read_text()
    tool = tool.replace("sideEffects: read", f"cache: {{ttlS: 60}}\n  sideEffects: {side_effects}")
    small.write({AGENT: agent.replace("  toolRefs", "  cache: {semantic: {}}\n  toolRefs"), TOOL: tool})
    found = sorted(str(fault) for fault in load_registry(TreeSource(small.root)).faults)
    assert len(found) == len(expected)
    for fault, start in zip(found, expected, strict=True):
        assert start in fault
