from pathlib import Path

import pytest

from penstock.errors import Unavailable
from penstock.governance.ownership import ownership_faults, stage_edit_faults
from penstock.registry.change import change_against
from penstock.registry.source import GitSource, Source, TreeSource
from penstock.testing.project import Project, project

TEAMS = """teams:
  qa: {members: [Ada@Example.org], approvers: [boss@example.org]}
  other: {members: [eve@example.org]}
  platform: {members: [root@example.org]}
platformTeam: platform
"""
ADA, BOSS, EVE = ("Ada", "ada@example.org"), ("Boss", "boss@example.org"), ("Eve", "EVE@example.org")
ROOT, BOT = ("Root", "root@example.org"), ("Bot", "bot@penstock.invalid")


def spec(kind: str, owner: str, version: str = "1.0.0") -> str:
    return f"kind: {kind}\nmetadata: {{name: a, version: {version}, owner: {owner}}}\n"


FILES = {
    "registry_repo/teams.yaml": TEAMS,
    "registry_repo/agents/a/1.0.0.yaml": spec("Agent", "qa"),
    "registry_repo/tools/t/1.0.0.yaml": spec("Tool", "other"),
    "datasets/d/dataset.yaml": spec("Dataset", "other"),
}


@pytest.fixture
def made(tmp_path: Path) -> Project:
    started = project(FILES, tmp_path / "project")
    started.branch("side")
    return started


def found(made: Project, source: Source | None = None) -> list[tuple[str, str]]:
    repository = made.repository
    judged = source or GitSource(repository, "HEAD")
    change = change_against(repository, judged, "main")
    return [(fault.path, fault.what) for fault in ownership_faults(repository, judged, change, BOT[1])]


@pytest.mark.parametrize(
    ("path", "author", "is_fine"),
    [
        ("registry_repo/agents/a/1.1.0.yaml", ADA, True),
        ("registry_repo/agents/a/1.1.0.yaml", BOSS, True),
        ("registry_repo/agents/a/1.1.0.yaml", EVE, False),
        ("contract_suites/a/suite.yaml", EVE, False),
        ("contract_suites/a/1.0.0/case.jsonl", EVE, False),
        ("evals/a.yaml", EVE, False),
        ("evals/a.yaml", ADA, True),
        ("datasets/d/cases.jsonl", EVE, True),
        ("datasets/d/cases.jsonl", ADA, False),
        ("registry_repo/tools/t/1.0.0/tool.py", ADA, False),
        ("pipelines/release.yaml", ADA, False),
        ("pipelines/release.yaml", ROOT, True),
        ("runtimes/direct.yaml", EVE, False),
        ("registry_repo/teams.yaml", EVE, False),
        ("registry_repo/retired.yaml", ADA, False),
        ("registry_repo/agents/a/1.1.0.yaml", BOT, True),
    ],
)
def test_only_the_owning_team_changes_a_file(made: Project, path: str, author: tuple[str, str], is_fine: bool) -> None:
    made.commit({path: spec("Agent", "qa", "1.1.0")}, author=author)
    assert (found(made) == []) == is_fine


def test_a_new_version_cannot_take_a_name_from_its_owner(made: Project) -> None:
    made.commit({"registry_repo/agents/a/1.1.0.yaml": spec("Agent", "other", "1.1.0")}, author=EVE)
    assert found(made) == [
        ("registry_repo/agents/a/1.1.0.yaml", "belongs to qa, and eve@example.org is not of that team")
    ]


def test_a_new_name_belongs_to_the_team_that_it_names(made: Project) -> None:
    made.commit({"registry_repo/agents/b/1.0.0.yaml": spec("Agent", "other"), "evals/b.yaml": "x"}, author=EVE)
    assert found(made) == []
    made.commit({"registry_repo/prompts/p/1.0.0.md": f"---\n{spec('Prompt', 'other')}---\n"}, author=ADA)
    assert [path for path, _ in found(made)] == ["registry_repo/prompts/p/1.0.0.md"]


def test_teams_are_those_of_the_base_branch(made: Project) -> None:
    made.commit({"registry_repo/teams.yaml": TEAMS.replace("Ada@Example.org", "eve@example.org")}, author=ROOT)
    made.commit({"registry_repo/agents/a/1.1.0.yaml": spec("Agent", "qa", "1.1.0")}, author=EVE)
    assert [path for path, _ in found(made)] == ["registry_repo/agents/a/1.1.0.yaml"]


def test_every_author_of_a_file_counts(made: Project) -> None:
    path = "registry_repo/agents/a/1.1.0.yaml"
    made.commit({path: spec("Agent", "qa", "1.1.0")}, author=EVE)
    made.commit({path: spec("Agent", "qa", "1.1.0") + "# mine\n"}, author=ADA)
    assert len(found(made)) == 1


def test_the_working_tree_is_its_user_s(made: Project) -> None:
    made.identify(EVE)
    made.write({"registry_repo/agents/a/1.1.0.yaml": spec("Agent", "qa", "1.1.0")})
    assert [path for path, _ in found(made, TreeSource(made.root))] == ["registry_repo/agents/a/1.1.0.yaml"]
    made.identify(ADA)
    assert found(made, TreeSource(made.root)) == []


def test_without_teams_on_base_nobody_is_asked_and_broken_ones_are_an_error(tmp_path: Path) -> None:
    without = project({"registry_repo/agents/a/1.0.0.yaml": spec("Agent", "qa")}, tmp_path / "without")
    without.branch("side")
    without.commit({"registry_repo/agents/a/1.1.0.yaml": "x"}, author=EVE)
    assert found(without) == []
    broken = project({"registry_repo/teams.yaml": "teams: ["}, tmp_path / "broken")
    broken.branch("side")
    broken.commit({"registry_repo/agents/a/1.1.0.yaml": "x"}, author=EVE)
    with pytest.raises(Unavailable, match=r"teams\.yaml cannot be read"):
        found(broken)


def test_stages_are_written_by_the_bot_alone(made: Project) -> None:
    path = "registry_repo/stages/a.yaml"

    def edits() -> list[str]:
        source = TreeSource(made.root)
        change = change_against(made.repository, source, "main")
        return [fault.what for fault in stage_edit_faults(made.repository, change, BOT[1])]

    made.commit({path: "a: 1\n"}, author=BOT)
    assert edits() == []
    made.write({path: "a: 2\n"})
    assert edits() == ["is edited by hand (an uncommitted change)"]
    made.commit(author=EVE)
    assert edits() == ["is edited by hand (eve@example.org)"]


def suite(*scorers: str) -> str:
    return f"kind: EvalSuite\nspec: {{scorers: [{', '.join(f'{{scorer: {name}}}' for name in scorers)}]}}\n"


SCORED = {
    **FILES,
    "registry_repo/agents/b/1.0.0.yaml": spec("Agent", "other"),
    "evals/a.yaml": suite("own/mine", "own/shared"),
    "evals/b.yaml": suite("equals", "own/shared") + "# own/mine\n",
    **{f"evals/scorers/{name}.py": "def score(case, trial) -> bool: ...\n" for name in ("mine", "shared", "unused")},
}


@pytest.mark.parametrize(
    ("name", "author", "is_fine"),
    [
        ("mine", ADA, True),
        ("mine", EVE, False),
        ("shared", ADA, True),
        ("shared", EVE, True),
        ("shared", ROOT, False),
        ("unused", ROOT, True),
    ],
)
def test_a_scorer_belongs_to_the_teams_whose_suites_use_it(
    tmp_path: Path, name: str, author: tuple[str, str], is_fine: bool
) -> None:
    made = project(SCORED, tmp_path / "project")
    made.branch("side")
    made.commit({f"evals/scorers/{name}.py": "def score(case, trial) -> bool: return True\n"}, author=author)
    assert (found(made) == []) == is_fine


def test_a_suite_of_the_change_gives_no_right_to_a_scorer_that_is_used_already(tmp_path: Path) -> None:
    made = project(SCORED, tmp_path / "project")
    made.branch("side")
    changed = {"evals/b.yaml": suite("own/mine", "own/new"), "evals/scorers/mine.py": "x\n"}
    made.commit({**changed, "evals/scorers/new.py": "y\n"}, author=EVE)
    assert found(made) == [("evals/scorers/mine.py", "belongs to qa, and eve@example.org is not of that team")]
    made.commit({"evals/scorers/new.py": "z\n"}, author=ADA)
    assert ("evals/scorers/new.py", "belongs to other, and ada@example.org is not of that team") in found(made)
