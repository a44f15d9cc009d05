"""An agent with a model for each complexity, as a registry sees it."""

from pathlib import Path

import pytest

from penstock.contracts.reference import Reference
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.scaffold.version import version_files
from penstock.testing.project import Project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"
MODEL = "registry_repo/models/standard/1.0.0.yaml"
LARGE = "registry_repo/models/large/1.0.0.yaml"
ONE = "modelRef: models/standard@1.0.0"
THREE = "modelRef: {simple: models/standard@1.0.0, medium: models/large@1.0.0, complex: models/large@1.0.0}"
RULE = "complexity: {rule: [{below: {inputCharacters: 9}, choose: simple}]}"


def written(small: Project, *lines: str) -> Path:
    """The small project with these lines in place of the agent's model, and a second model."""
    text = (small.root / AGENT).read_text()
    model = (small.root / MODEL).read_text().replace("name: standard", "name: large")
    small.write({AGENT: text.replace(ONE, "\n  ".join(lines)), LARGE: model})
    return small.root


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in load_registry(TreeSource(root)).faults]


def test_each_model_is_pinned_once(small: Project) -> None:
    root = written(small, THREE, RULE, "fallback: {models: [models/standard@1.0.0]}")
    assert faults(root) == []
    release = resolve(load_registry(TreeSource(root)), "writer", "1.0.0").release
    assert [model.ref for model in release.models] == ["models/standard@1.0.0", "models/large@1.0.0"]


def test_a_new_version_moves_every_pin_of_a_model(small: Project) -> None:
    root = written(small, THREE, "complexity: {classifier: models/large@1.0.0}")
    small.write(
        {LARGE.replace("1.0.0", "1.1.0"): (root / LARGE).read_text().replace("version: 1.0.0", "version: 1.1.0")}
    )
    newer = Reference.parse("models/large@1.1.0")
    files = version_files(load_registry(TreeSource(root)), Reference.parse("agents/writer@1.0.0"), "1.1.0", [newer])
    [text] = [file.data.decode() for file in files.values()]
    assert text.count("models/large@1.1.0") == 3
    assert "models/large@1.0.0" not in text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((ONE, RULE), "spec.complexity: there is one model, so complexity chooses nothing"),
        ((THREE.replace("medium: models/large", "medium: models/larg"),), "spec.modelRef.medium: no models/larg@1.0.0"),
        (
            (THREE.replace("medium: models/large", "medium: large"),),
            "spec.modelRef.medium: 'large@1.0.0' has the wrong",
        ),
        (("modelRef: standard@1.0.0",), "spec.modelRef: 'standard@1.0.0' has the wrong form"),
        ((THREE, "complexity: {otherwise: simple}"), "holds exactly one of rule and classifier"),
        ((THREE, "complexity: {classifier: models/judge@1.0.0}"), "spec.complexity.classifier: no models/judge@1.0.0"),
        (
            (THREE, "complexity: {rule: [{below: {}, choose: simple}]}"),
            "holds inputCharacters, historyMessages or both",
        ),
    ],
)
def test_what_can_be_wrong_is_said_where_it_stands(small: Project, lines: tuple[str, ...], expected: str) -> None:
    found = faults(written(small, *lines))
    assert any(expected in fault for fault in found), found
