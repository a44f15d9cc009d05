"""A project with one agent in two versions, a dataset and an eval suite, for tests of everything that measures.

The agent answers the input `{"question": ...}` with `{"answer": ...}`. `Answers` is its model: what version 1.1.0 says
otherwise than 1.0.0 is given by question.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from penstock.pal import ModelAnswer, ModelCall, Usage
from penstock.testing.project import Project, project

AGENT = """\
apiVersion: penstock.dev/v1
kind: Agent
metadata: {{name: clerk, version: {version}, owner: qa}}
spec:
  mode: workflow
  promptRef: prompts/clerk@{version}
  modelRef: models/standard@1.0.0
  policyRefs: [policies/default@1.0.0]
  input: {{schema: {{type: object, properties: {{question: {{type: string}}}}, required: [question]}}}}
  output: {{schema: {{type: object, properties: {{answer: {{type: string}}}}, required: [answer]}}}}
  runtime: {{selector: direct}}
"""
PROMPT = """\
---
apiVersion: penstock.dev/v1
kind: Prompt
metadata: {{name: clerk, version: {version}, owner: qa}}
spec: {{role: system}}
---
You are clerk {version}.
"""
FILES = {
    "registry_repo/teams.yaml": "teams: {qa: {members: [author@example.org], approvers: [approver@example.org]}}\n",
    "registry_repo/models/standard/1.0.0.yaml": """\
apiVersion: penstock.dev/v1
kind: Model
metadata: {name: standard, version: 1.0.0, owner: qa}
spec: {model: fake/standard, contextTokens: 8192, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}
""",
    "registry_repo/policies/default/1.0.0.yaml": """\
apiVersion: penstock.dev/v1
kind: Policy
metadata: {name: default, version: 1.0.0, owner: qa}
spec: {rules: [{name: all, effect: allow}]}
""",
    "runtimes/direct.yaml": """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0"
  adapter: direct
  capabilities: {modes: [workflow], toolCalling: true, streaming: true, maxContextTokens: 100000}
""",
    "datasets/questions/dataset.yaml": """\
apiVersion: penstock.dev/v1
kind: Dataset
metadata: {name: questions, version: 1.0.0, owner: qa}
spec:
  provenance: Made for a test.
  schema: {type: object, properties: {question: {type: string}}, required: [question]}
""",
    "registry_repo/stages/clerk.yaml": """\
apiVersion: penstock.dev/v1
kind: Stages
metadata: {name: clerk}
spec: {status: active, prod: {version: 1.0.0, runtime: direct}}
""",
}
SCORERS = "[{scorer: equals, name: right, params: {path: $.answer, expectedPath: $.answer}, atLeast: 0.5, margin: 0.2}]"


def questions(count: int, *, cluster_size: int = 0) -> list[dict[str, Any]]:
    """So many cases: question `q7` is rightly answered by `a7`; with a size, neighbours share a cluster."""
    cases = []
    for number in range(count):
        case: dict[str, Any] = {
            "id": f"c{number}",
            "input": {"question": f"q{number}"},
            "expected": {"answer": f"a{number}"},
            "tags": ["even" if number % 2 == 0 else "odd"],
        }
        if cluster_size:
            case["cluster"] = f"k{number // cluster_size}"
        cases.append(case)
    return cases


def eval_project(
    folder: Path,
    *,
    cases: Sequence[Mapping[str, Any]],
    scorers: str = SCORERS,
    suite: Mapping[str, Any] | None = None,
    files: Mapping[str, str | None] | None = None,
) -> Project:
    """The project in `folder`, committed; `suite` are further fields of the eval suite's spec, `scorers` is YAML.

    `files` override or add files; None leaves one out. 1.0.0 stands in prod.
    """
    more = "".join(f"  {key}: {orjson.dumps(value).decode()}\n" for key, value in (suite or {}).items())
    laid: dict[str, str | None] = {
        **FILES,
        "datasets/questions/cases.jsonl": "".join(orjson.dumps(case).decode() + "\n" for case in cases),
        "evals/clerk.yaml": "apiVersion: penstock.dev/v1\nkind: EvalSuite\nmetadata: {name: clerk}\nspec:\n"
        f"  datasets: [questions]\n  scorers: {scorers}\n{more}",
    }
    for version in ("1.0.0", "1.1.0"):
        laid[f"registry_repo/agents/clerk/{version}.yaml"] = AGENT.format(version=version)
        laid[f"registry_repo/prompts/clerk/{version}.md"] = PROMPT.format(version=version)
    laid.update(files or {})
    return project({path: text for path, text in laid.items() if text is not None}, folder)


class Answers:
    """The model of the project's agent: `a7` to `q7`, unless `otherwise` has another answer for (version, question).

    An answer that is an exception is raised. `asked` are the (version, question) pairs in the order of their calls.
    """

    def __init__(self, otherwise: Mapping[tuple[str, str], str | Exception] | None = None) -> None:
        self.otherwise = dict(otherwise or {})
        self.asked: list[tuple[str, str]] = []

    def __call__(self, call: ModelCall) -> ModelAnswer:
        """The answer to one call; a step of `FakeProvider`."""
        version = str(call.messages[0]["content"]).removeprefix("You are clerk ").rstrip(".")
        question = str(orjson.loads(call.messages[-1]["content"])["question"])
        self.asked.append((version, question))
        said = self.otherwise.get((version, question), f"a{question.removeprefix('q')}")
        if isinstance(said, Exception):
            raise said
        return ModelAnswer(orjson.dumps({"answer": said}).decode(), (), Usage(10, 5, 0.00002))
