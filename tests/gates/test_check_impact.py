"""`check` runs the gates of what a change brings and voids, and no others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.testing.project import Project, project

HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\nmetadata: {{name: {name}, version: {version}, owner: qa}}\n"
NAMED = "apiVersion: penstock.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
PIPELINE = NAMED.format(kind="Pipeline", name="default") + (
    "spec:\n  stages: {dev: {gates: [{gate: schema}]}, canary: {}, prod: {}}\n  canary: {steps: [{percent: 20}]}\n"
)
RUNTIME = (
    "spec: {runtime: penstock, versions: '>=0', adapter: direct, capabilities: {modes: %s, maxContextTokens: 9}}\n"
)
SCORER = "def score(case, trial) -> bool:\n    return True\n"
DATASET = "spec: {schema: {type: string}, provenance: written by hand}\n"


def agent(name: str, version: str = "1.0.0", prompt: str = "1.0.0") -> str:
    return HEAD.format(kind="Agent", name=name, version=version) + (
        f"spec:\n  mode: workflow\n  promptRef: prompts/{name}@{prompt}\n"
        "  modelRef: models/standard@1.0.0\n  policyRefs: [policies/default@1.0.0]\n"
        "  input: {schema: {type: string}}\n  output: {schema: {type: string}}\n  runtime: {selector: direct}\n"
    )


def prompt(name: str, version: str = "1.0.0") -> str:
    return f"---\n{HEAD.format(kind='Prompt', name=name, version=version)}spec: {{role: system}}\n---\nSay it.\n"


def suite(name: str, dataset: str, scorers: str = "[]") -> str:
    return NAMED.format(kind="EvalSuite", name=name) + f"spec: {{datasets: [{dataset}], scorers: {scorers}}}\n"


FILES = {
    "registry_repo/teams.yaml": "teams: {qa: {members: [author@example.org]}}\n",
    **{f"registry_repo/agents/{name}/1.0.0.yaml": agent(name) for name in ("echo", "other", "judge")},
    **{f"registry_repo/prompts/{name}/1.0.0.md": prompt(name) for name in ("echo", "other", "judge")},
    "registry_repo/models/standard/1.0.0.yaml": HEAD.format(kind="Model", name="standard", version="1.0.0")
    + "spec: {model: scripted/qa-rules, contextTokens: 8000, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}\n",
    "registry_repo/policies/default/1.0.0.yaml": HEAD.format(kind="Policy", name="default", version="1.0.0")
    + "spec: {rules: [{name: all, effect: allow}]}\n",
    "evals/echo.yaml": suite("echo", "words", "[{scorer: own/fine}, {scorer: judge, agent: agents/judge@1.0.0}]"),
    "evals/other.yaml": suite("other", "texts"),
    "evals/scorers/fine.py": SCORER,
    **{
        f"datasets/{name}/dataset.yaml": HEAD.format(kind="Dataset", name=name, version="1.0.0") + DATASET
        for name in ("words", "texts")
    },
    **{f"datasets/{name}/cases.jsonl": '{"id": "a", "input": "hello"}\n' for name in ("words", "texts")},
    "runtimes/direct.yaml": NAMED.format(kind="Runtime", name="direct") + RUNTIME % "[workflow]",
    "runtimes/talk.yaml": NAMED.format(kind="Runtime", name="talk") + RUNTIME % "[conversational]",
    "pipelines/release.yaml": PIPELINE,
}


@pytest.fixture
def made(tmp_path: Path) -> Project:
    """Two agents and a judge of the first one, on main of a clone with a bare remote; a branch is begun."""
    started = project(FILES, tmp_path / "project", remote=True)
    started.branch("side")
    return started


@pytest.fixture
def check(made: Project, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """The versions that `check` judges, each with its gates."""

    def run() -> list[dict[str, Any]]:
        main(["--project", str(made.root), "check", "--json"])
        document = json.loads(capsys.readouterr().out)
        assert document["faults"] == []
        found: list[dict[str, Any]] = document["versions"]
        return found

    return run


def versions(found: list[dict[str, Any]]) -> list[str]:
    return [f"{one['agent']}@{one['version']}" for one in found]


EVERY = ["echo@1.0.0", "judge@1.0.0", "other@1.0.0"]


@pytest.mark.parametrize(
    ("path", "text", "judged"),
    [
        ("datasets/words/cases.jsonl", '{"id": "b", "input": "more"}\n', ["echo@1.0.0"]),
        ("datasets/texts/dataset.yaml", None, ["other@1.0.0"]),
        ("evals/scorers/fine.py", None, ["echo@1.0.0"]),
        ("evals/scorers/new.py", SCORER, []),
        ("evals/other.yaml", None, ["other@1.0.0"]),
        ("contract_suites/README.md", "words\n", []),
        ("runtimes/talk.yaml", None, []),
        ("runtimes/direct.yaml", None, EVERY),
        ("pipelines/release.yaml", None, EVERY),
    ],
)
def test_a_changed_file_has_those_checked_whose_evidence_rests_on_it(
    made: Project, check: Callable[[], list[dict[str, Any]]], path: str, text: str | None, judged: list[str]
) -> None:
    made.commit({path: text or FILES[path] + "# changed\n"})
    found = check()
    assert versions(found) == judged
    assert all([gate["gate"] for gate in one["gates"]] == ["schema"] for one in found)
    assert all(one["verdict"] == "passed" for one in found)
    assert all(one["notes"] == [f"{path} is not as on main"] for one in found), "they are judged as they stand here"


def test_a_new_judge_is_checked_alone_until_a_suite_asks_it(
    made: Project, check: Callable[[], list[dict[str, Any]]]
) -> None:
    path = "registry_repo/agents/judge/1.1.0.yaml"
    made.commit(
        {path: agent("judge", "1.1.0", "1.1.0"), "registry_repo/prompts/judge/1.1.0.md": prompt("judge", "1.1.0")}
    )
    assert versions(check()) == ["judge@1.1.0"]
    made.commit({"evals/echo.yaml": FILES["evals/echo.yaml"].replace("judge@1.0.0", "judge@1.1.0")})
    assert versions(check()) == ["judge@1.1.0", "echo@1.0.0"]


def test_a_broken_judge_fails_whom_it_judges(made: Project, check: Callable[[], list[dict[str, Any]]]) -> None:
    made.commit({"registry_repo/prompts/judge/1.0.0.md": prompt("judge") + "Changed.\n"})
    found = check()
    assert versions(found) == ["echo@1.0.0", "judge@1.0.0"]
    assert [one["verdict"] for one in found] == ["failed", "failed"]
    assert "is released and was changed" in found[0]["sentence"]


def test_the_model_gate_runs_where_the_pipeline_names_it(
    made: Project, check: Callable[[], list[dict[str, Any]]]
) -> None:
    made.commit({"pipelines/release.yaml": PIPELINE.replace("{gate: schema}", "{gate: model, params: {timeoutS: 90}}")})
    found = check()
    assert [[(gate["gate"], gate["outcome"]) for gate in one["gates"]] for one in found] == [[("model", "passed")]] * 3
    assert found[0]["gates"][0]["reason"].startswith("3 cases hold for scripted/qa-rules; ")


def test_a_tool_that_breaks_agents_fails_the_schema_gate_of_what_comes_with_it(
    made: Project, check: Callable[[], list[dict[str, Any]]]
) -> None:
    tool = HEAD.format(kind="Tool", name="look", version="1.0.0") + (
        "spec:\n  input: {schema: {type: object, properties: {query: {type: string}}}}\n"
        "  output: {schema: {type: object}}\n  implementation: {type: python, entry: 'tool:look'}\n"
    )
    code = "async def look(arguments, ctx):\n    return {}\n"
    pinned = agent("echo", "1.1.0").replace("policyRefs", "toolRefs: [tools/look@1.0.0]\n  policyRefs")
    made.commit(
        {
            "registry_repo/tools/look/1.0.0.yaml": tool,
            "registry_repo/tools/look/1.0.0/tool.py": code,
            "registry_repo/tools/look/1.0.1.yaml": tool.replace("1.0.0", "1.0.1").replace("query", "text"),
            "registry_repo/tools/look/1.0.1/tool.py": code,
            "registry_repo/agents/echo/1.1.0.yaml": pinned,
            "runtimes/direct.yaml": FILES["runtimes/direct.yaml"].replace(
                "maxContext", "toolCalling: true, maxContext"
            ),
        }
    )
    first = check()[0]
    assert (first["version"], first["verdict"]) == ("1.1.0", "failed")
    assert "breaks tools/look@1.0.0: input query: was removed or renamed" in first["sentence"]
