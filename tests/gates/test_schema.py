from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.errors import NotFound, Unavailable
from penstock.gates.arrival import find_arrival
from penstock.gates.context import GateContext
from penstock.gates.draft import draft_context
from penstock.gates.gate import run_gate
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import GitSource, TreeSource
from penstock.settings import Settings
from penstock.testing.project import Project, project

HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\nmetadata: {{name: {name}, version: {version}, owner: qa}}\n"
PIPELINE = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: schema}]}
    canary: {gates: []}
    prod: {gates: [{gate: canary-runs, params: {minRuns: 30}}]}
  canary: {steps: [{percent: 20}]}
"""
RUNTIME = """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0"
  adapter: direct
  capabilities: {modes: [workflow], toolCalling: true, maxContextTokens: 100000}
"""
STAGES = "apiVersion: penstock.dev/v1\nkind: Stages\nmetadata: {name: echo}\nspec: {}\n"
OUTSIDER = ("Mallory", "mallory@example.org")


def agent(version: str, prompt: str = "1.0.0", extra: str = "") -> str:
    return HEAD.format(kind="Agent", name="echo", version=version) + (
        "spec:\n  mode: workflow\n"
        f"  promptRef: prompts/echo@{prompt}\n"
        "  modelRef: models/standard@1.0.0\n  policyRefs: [policies/default@1.0.0]\n"
        "  input: {schema: {type: string}}\n  output: {schema: {type: string}}\n  runtime: {selector: direct}\n" + extra
    )


def prompt(version: str, body: str = "Say it again.") -> str:
    return f"---\n{HEAD.format(kind='Prompt', name='echo', version=version)}spec: {{role: system}}\n---\n{body}\n"


FILES = {
    "registry_repo/teams.yaml": "teams: {qa: {members: [author@example.org], approvers: [approver@example.org]}}\n",
    "registry_repo/agents/echo/1.0.0.yaml": agent("1.0.0"),
    "registry_repo/prompts/echo/1.0.0.md": prompt("1.0.0"),
    "registry_repo/models/standard/1.0.0.yaml": HEAD.format(kind="Model", name="standard", version="1.0.0")
    + "spec: {model: scripted/echo, contextTokens: 8000, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}\n",
    "registry_repo/policies/default/1.0.0.yaml": HEAD.format(kind="Policy", name="default", version="1.0.0")
    + "spec: {rules: [{name: all, effect: allow}]}\n",
    "runtimes/direct.yaml": RUNTIME,
    "pipelines/release.yaml": PIPELINE,
}


@pytest.fixture
def echo(tmp_path: Path) -> Project:
    return project(FILES, tmp_path / "project")


def draft(made: Project, version: str = "1.1.0", base: str | None = "main") -> GateContext:
    settings = Settings(root=made.root, default_runtime="direct")
    registry = load_registry(TreeSource(made.root))
    return draft_context(settings, registry, "echo", version, repository=made.repository, base=base)


def judge(context: GateContext) -> GateResult:
    return run_gate(context, GateUse.model_validate({"gate": "schema"}))


def on_branch(made: Project, files: dict[str, Any], author: tuple[str, str] | None = None) -> GateResult:
    made.branch("change")
    made.commit(files, "Change", *([author] if author else []))
    return judge(draft(made))


def test_a_new_version_by_its_team_passes(echo: Project) -> None:
    result = on_branch(echo, {"registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0")})
    assert result.artifacts.get("log", "") == ""
    assert (result.outcome, result.measured) == ("passed", {"files": 7, "changed": 1, "faults": 0})
    assert result.inputs["commit"] == echo.repository.head()
    assert result.inputs["base"] == echo.repository.resolve("main")
    assert result.inputs["authors"] == ["author@example.org"]


def test_without_a_base_the_files_are_judged_as_they_stand(echo: Project) -> None:
    result = judge(draft(echo, "1.0.0", base=None))
    assert (result.outcome, result.measured["changed"]) == ("passed", 0)
    assert (result.inputs["commit"], result.inputs["base"], result.inputs["authors"]) == (None, None, [])


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"registry_repo/prompts/echo/1.0.0.md": prompt("1.0.0", "Changed.")}, "is released and was changed"),
        ({"registry_repo/agents/echo/1.0.0.yaml": agent("1.0.0") + "# a word\n"}, "is released and was changed"),
        ({"registry_repo/stages/echo.yaml": STAGES}, "is edited by hand"),
        (
            {"pipelines/release.yaml": PIPELINE.replace("minRuns", "minRun")},
            "release.yaml:8:49: spec.stages.prod.gates[0].params.minRun: unknown parameter 'minRun' (did you mean",
        ),
        ({"pipelines/release.yaml": PIPELINE.replace("canary-runs", "weather")}, "no gate 'weather'"),
        (
            {
                "registry_repo/models/other/1.0.0.yaml": HEAD.format(kind="Model", name="other", version="1.0.0")
                + "spec: {model: x/y, contextTokens: 8000, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0},"
                + " parameters: {organization: ghp_0123456789abcdefghijABCDEFGHIJ012345}}\n"
            },
            "holds a literal secret",
        ),
        ({"registry_repo/policies/other/1.0.0.yaml": "kind: Policy\n"}, "registry_repo/policies/other/1.0.0.yaml"),
    ],
)
def test_what_the_change_touches_is_judged_with_it(echo: Project, files: dict[str, Any], sentence: str) -> None:
    result = on_branch(echo, {"registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0"), **files})
    assert result.outcome == "failed"
    assert any(sentence in fault for fault in result.artifacts["faults"]), result.artifacts
    assert "ghp_" not in str(result.as_document())


def test_an_author_outside_the_owning_team_fails(echo: Project) -> None:
    result = on_branch(echo, {"registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0")}, OUTSIDER)
    assert result.outcome == "failed"
    assert "belongs to qa, and mallory@example.org is not of that team" in result.reason
    assert result.inputs["authors"] == ["mallory@example.org"]


def test_every_fault_is_listed(echo: Project) -> None:
    files = {
        "registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0"),
        "registry_repo/prompts/echo/1.0.0.md": None,
        "registry_repo/prompts/echo/1.1.0.md": prompt("1.1.0", "{{ unknown }}"),
    }
    echo.branch("change")
    echo.commit({**files, "registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0", "1.0.0")})
    echo.write({"registry_repo/prompts/echo/1.0.0.md": prompt("1.0.0", "Another.")})
    result = judge(draft(echo))
    assert result.outcome == "failed"
    assert len(result.artifacts["faults"]) == result.measured["faults"] >= 2
    assert f"(and {result.measured['faults'] - 1} more)" in result.reason


def released(made: Project, version: str) -> GateContext:
    repository = made.repository
    registry = load_registry(GitSource(repository, repository.head()))
    arrival = find_arrival(repository, repository.head(), f"registry_repo/agents/echo/{version}.yaml")
    return GateContext(
        settings=Settings(root=made.root, default_runtime="direct"),
        registry=registry,
        resolved=resolve(registry, "echo", version),
        origin="released",
        repository=repository,
        commit=arrival.commit,
        base=arrival.base,
    )


def test_on_the_base_branch_the_merge_that_brought_it_is_judged(echo: Project) -> None:
    before = echo.repository.head()
    echo.branch("change")
    echo.commit({"registry_repo/prompts/echo/1.1.0.md": prompt("1.1.0")}, "Prompt", OUTSIDER)
    echo.commit({"registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0", "1.1.0")})
    echo.git("checkout", "--quiet", "main")
    echo.git("merge", "--quiet", "--no-ff", "--message", "Merge", "change")
    merge = echo.repository.head()
    echo.commit({"README.md": "later\n"})
    context = released(echo, "1.1.0")
    assert (context.commit, context.base) == (merge, before)
    result = judge(context)
    assert result.outcome == "failed"
    assert "registry_repo/prompts/echo/1.1.0.md: belongs to qa, and mallory@example.org" in result.reason


def test_later_commits_do_not_void_it(echo: Project) -> None:
    echo.commit({"registry_repo/agents/echo/1.1.0.yaml": agent("1.1.0")})
    first = judge(released(echo, "1.1.0"))
    echo.commit({"registry_repo/agents/echo/1.2.0.yaml": agent("1.2.0")})
    assert judge(released(echo, "1.1.0")).inputs_digest == first.inputs_digest
    assert first.outcome == "passed"


def test_the_first_commit_has_no_base(echo: Project) -> None:
    context = released(echo, "1.0.0")
    assert (context.commit, context.base) == (echo.repository.head(), None)
    assert judge(context).outcome == "passed"


def test_a_version_that_is_not_there_never_came(echo: Project) -> None:
    with pytest.raises(NotFound, match="is not on the base branch"):
        find_arrival(echo.repository, echo.repository.head(), "registry_repo/agents/echo/9.0.0.yaml")


def test_a_shallow_clone_says_what_to_fetch(echo: Project, tmp_path: Path) -> None:
    echo.commit({"README.md": "later\n"})
    clone = tmp_path / "shallow"
    echo.git("clone", "--quiet", "--depth", "1", f"file://{echo.root}", str(clone))
    repository = Project(clone).repository
    with pytest.raises(Unavailable, match="git fetch --unshallow"):
        find_arrival(repository, repository.head(), "registry_repo/agents/echo/1.0.0.yaml")
