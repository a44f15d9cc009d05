from pathlib import Path
from typing import Any

import pytest

from penstock.errors import NotFound, WrongUse
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scaffold.document import agent_files, tool_files
from penstock.scaffold.layout import lay_down
from penstock.scaffold.ownership import choose_owner, starting_reference
from penstock.scaffold.project import lay_down_project


def tree(root: Path) -> Registry:
    return load_registry(TreeSource(root), default_runtime="direct")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return lay_down_project(tmp_path / "proj").root


@pytest.mark.parametrize("name", ["a", "invoice-check", "x" * 54])
def test_a_new_agent_has_no_fault(root: Path, name: str) -> None:
    created = lay_down(root, agent_files(tree(root), name, "qa-platform"))
    registry = tree(root)
    assert registry.faults == []
    assert name in registry.suites
    assert name in registry.evals
    assert len(created) == 10


def test_a_new_tool_has_no_fault(root: Path) -> None:
    lay_down(root, tool_files("look-up", "qa-platform"))
    assert tree(root).faults == []


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a-", "a_b", "a" * 64, "ä", "a/b", "../a"])
def test_a_name_that_is_none_is_refused(root: Path, name: str) -> None:
    with pytest.raises(WrongUse, match="is no name"):
        tool_files(name, "qa-platform")
    with pytest.raises(WrongUse, match="is no name"):
        agent_files(tree(root), name, "qa-platform")


def test_the_newest_version_that_is_not_retired_is_pinned(root: Path) -> None:
    models = root / "registry_repo/models"
    text = (models / "standard/1.0.0.yaml").read_text()
    for version in ("1.10.0", "1.9.0", "2.0.0"):
        (models / f"standard/{version}.yaml").write_text(text.replace("version: 1.0.0", f"version: {version}"))
    (root / "registry_repo/retired.yaml").write_text("deprecated: [models/standard@2.0.0]\ndisabled: []\n")
    assert starting_reference(tree(root), "models", "standard") == "models/standard@1.10.0"


def test_without_a_model_there_is_no_new_agent(root: Path) -> None:
    (root / "registry_repo/models/standard/1.0.0.yaml").unlink()
    with pytest.raises(NotFound, match="nothing in registry_repo/models"):
        agent_files(tree(root), "a", "qa-platform")


TEAMS: dict[str, Any] = {
    "one": ("teams: {qa: {members: [x@y.z]}}", "qa"),
    "mine": ("teams: {qa: {members: [x@y.z]}, ops: {approvers: [Ada@Example.org]}}", "ops"),
    "not the platform's": (
        "teams: {qa: {members: [ada@example.org]}, p: {members: [ada@example.org]}}\nplatformTeam: p",
        "qa",
    ),
}


@pytest.mark.parametrize("case", TEAMS)
def test_the_owner_is_the_team_that_one_is_in(root: Path, identity: str, case: str) -> None:
    text, expected = TEAMS[case]
    (root / "registry_repo/teams.yaml").write_text(text + "\n")
    assert choose_owner(tree(root), None, identity) == expected


def test_an_owner_must_be_known_and_one(root: Path, identity: str) -> None:
    (root / "registry_repo/teams.yaml").write_text("teams: {qa: {members: [x@y.z]}, ops: {members: [x@y.z]}}\n")
    registry = tree(root)
    with pytest.raises(NotFound, match="no team 'nobody'"):
        choose_owner(registry, "nobody", identity)
    with pytest.raises(WrongUse, match="several teams"):
        choose_owner(registry, None, identity)
    assert choose_owner(registry, "ops", identity) == "ops"
    (root / "registry_repo/teams.yaml").unlink()
    with pytest.raises(NotFound, match="no teams"):
        choose_owner(tree(root), None, identity)
