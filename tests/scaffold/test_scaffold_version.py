from pathlib import Path

import pytest

from penstock.contracts.reference import Reference
from penstock.errors import NotFound, WrongUse
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scaffold.document import agent_files, tool_files
from penstock.scaffold.layout import lay_down
from penstock.scaffold.project import lay_down_project
from penstock.scaffold.version import version_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = lay_down_project(tmp_path / "proj").root
    lay_down(made, agent_files(tree(made), "note", "qa-platform"))
    return made


def tree(root: Path) -> Registry:
    return load_registry(TreeSource(root), default_runtime="direct")


def copy(root: Path, old: str, version: str, *bumps: str) -> dict[str, str]:
    references = [Reference.parse(bump) for bump in bumps]
    files = version_files(tree(root), Reference.parse(old), version, references)
    lay_down(root, files)
    return {path: laid.data.decode() for path, laid in files.items()}


def test_only_the_version_changes_and_each_comment_stays(root: Path) -> None:
    path = root / "registry_repo/agents/note/1.0.0.yaml"
    text = (
        path.read_text().replace("  version: 1.0.0\n", '  version:   "1.0.0"   # 1.0.0, the first\n') + "# end 1.0.0\n"
    )
    path.write_text(text)
    made = copy(root, "agents/note@1.0.0", "1.1.0-rc.1+5")
    assert made == {"registry_repo/agents/note/1.1.0-rc.1+5.yaml": text.replace('"1.0.0"', '"1.1.0-rc.1+5"')}
    assert tree(root).faults == []


def test_a_tools_code_comes_with_it_byte_by_byte(root: Path) -> None:
    script = root / "registry_repo/tools/note-glossary/1.0.0/run.sh"
    script.write_bytes(b"#!/bin/sh\n\x00\xff")
    script.chmod(0o755)
    files = version_files(tree(root), Reference.parse("tools/note-glossary@1.0.0"), "2.0.0", [])
    lay_down(root, files)
    copied = root / "registry_repo/tools/note-glossary/2.0.0"
    assert sorted(place.name for place in copied.iterdir()) == ["run.sh", "terms.json", "test_tool.py", "tool.py"]
    assert (copied / "run.sh").read_bytes() == script.read_bytes()
    assert (copied / "run.sh").stat().st_mode & 0o111
    assert tree(root).faults == []


def test_a_prompts_body_stays_whatever_is_in_it(root: Path) -> None:
    path = root / "registry_repo/prompts/note/1.0.0.md"
    text = path.read_text() + "\n---\nversion: 1.0.0\n\t{not: yaml\n"
    path.write_text(text)
    made = copy(root, "prompts/note@1.0.0", "1.0.1")
    assert made["registry_repo/prompts/note/1.0.1.md"] == text.replace("  version: 1.0.0", "  version: 1.0.1", 1)


def test_pins_move_to_what_is_bumped(root: Path) -> None:
    copy(root, "prompts/note@1.0.0", "1.1.0")
    copy(root, "tools/note-glossary@1.0.0", "1.1.0")
    text = copy(root, "agents/note@1.0.0", "1.1.0", "prompts/note@1.1.0", "tools/note-glossary@1.1.0")
    made = text["registry_repo/agents/note/1.1.0.yaml"]
    assert "promptRef: prompts/note@1.1.0\n" in made
    assert "ref: tools/note-glossary@1.1.0\n" in made
    assert "modelRef: models/standard@1.0.0\n" in made
    assert tree(root).faults == []


def test_a_bump_must_exist_and_be_pinned(root: Path) -> None:
    lay_down(root, tool_files("other", "qa-platform"))
    with pytest.raises(NotFound):
        copy(root, "agents/note@1.0.0", "1.1.0", "prompts/note@9.0.0")
    with pytest.raises(WrongUse, match="pins no version of tools/other") as caught:
        copy(root, "agents/note@1.0.0", "1.1.0", "tools/other@1.0.0")
    assert "prompts/note@1.0.0" in caught.value.now
    with pytest.raises(WrongUse, match="pins no version"):
        copy(root, "prompts/note@1.0.0", "1.1.0", "tools/other@1.0.0")


@pytest.mark.parametrize("version", ["", "1.0", "01.0.0", "1.0.0/../../x", "v1.0.0", "latest"])
def test_a_version_that_is_none_is_refused(root: Path, version: str) -> None:
    with pytest.raises(WrongUse, match="is no version"):
        copy(root, "agents/note@1.0.0", version)


def test_a_version_that_is_not_there_cannot_be_copied(root: Path) -> None:
    with pytest.raises(NotFound, match=r"agents/note@3\.0\.0"):
        copy(root, "agents/note@3.0.0", "3.1.0")
