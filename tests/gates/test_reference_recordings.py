"""The recordings that are committed for the reference agents are of today's releases, and hold."""

from pathlib import Path

import pytest

from penstock.contracts.pipeline import GateUse
from penstock.gates.draft import draft_context
from penstock.gates.gate import run_gate
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.settings import load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reference() -> Registry:
    return load_registry(TreeSource(ROOT), default_runtime=load_settings(ROOT).default_runtime)


@pytest.mark.parametrize(
    ("agent", "least"), [("testcase-generator", 2), ("testplan-generator", 2), ("quality-judge", 1)]
)
def test_every_version_holds_on_every_runtime(reference: Registry, agent: str, least: int) -> None:
    versions = reference.versions(agent)
    assert len(versions) >= least
    for version in versions:
        context = draft_context(load_settings(ROOT), reference, agent, version)
        result = run_gate(context, GateUse.model_validate({"gate": "contract"}))
        assert (result.outcome, result.artifacts.get("runtimes")) == ("passed", ["direct", "langgraph"]), result.reason
