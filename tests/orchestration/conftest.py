from pathlib import Path

import pytest

from penstock.release.workspace import open_workspace
from penstock.scaffold.reference import reference_files
from penstock.settings import load_settings
from penstock.testing.project import Project, project

APPROVER = ("Ben Approver", "approver@example.com")
MANAGER = ("Mia Manager", "release-manager@example.com")
AUTHOR = ("Ada Author", "author@example.com")
AGENT = "testcase-generator"


def content(driver: str) -> dict[str, str | bytes]:
    """The reference content with one version of one agent, and stages that no one has written yet."""
    files: dict[str, str | bytes] = dict(
        reference_files(
            f"registry_repo/agents/{AGENT}/1.0.0.yaml",
            f"registry_repo/prompts/{AGENT}/1.0.0.md",
            "registry_repo/tools",
            "registry_repo/policies",
            "registry_repo/models",
            "registry_repo/teams.yaml",
            f"contract_suites/{AGENT}/suite.yaml",
            f"contract_suites/{AGENT}/1.0.0",
            "datasets/requirements",
            f"evals/{AGENT}.yaml",
            "evals/scorers",
            "registry_repo/agents/quality-judge",
            "registry_repo/prompts/quality-judge",
            "datasets/judge-labels",
            "runtimes",
            "pipelines",
        )
    )
    files["pyproject.toml"] = f'[tool.penstock]\ndriver = "{driver}"\ndefault_runtime = "direct"\n'
    return files


@pytest.fixture
def driven(tmp_path: Path) -> Project:
    """A project that Dagster drives, with a bare remote."""
    made = project(content("dagster"), tmp_path / "project", remote=True)
    made.identify(MANAGER)
    return made


@pytest.fixture
def shown(tmp_path: Path) -> Project:
    """A project that the command line drives, with a bare remote."""
    made = project(content("ci"), tmp_path / "project", remote=True)
    made.identify(MANAGER)
    open_workspace(load_settings(made.root)).releases.lineage(create=True)
    return made
