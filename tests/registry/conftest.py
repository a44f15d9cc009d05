"""A small registry that is valid, as files; tests change what they are about."""

from pathlib import Path

import pytest

from penstock.testing.project import Project, project

AGENT = """apiVersion: penstock.dev/v1
kind: Agent
metadata: {name: writer, version: 1.0.0, owner: qa}
spec:
  mode: workflow
  promptRef: prompts/writer@1.0.0
  promptVariables: {product: {from: /product}}
  modelRef: models/standard@1.0.0
  toolRefs: [{ref: tools/search@1.0.0, params: {limit: 5}}]
  policyRefs: [policies/default@1.0.0]
  input:
    schema: {type: object, required: [product], properties: {product: {type: string}, note: {type: string}}}
  output: {schema: {type: object}}
  runtime: {selector: direct, requires: {toolCalling: true}}
  limits: {maxCostUsd: 0.5}
"""
PROMPT = """---
apiVersion: penstock.dev/v1
kind: Prompt
metadata: {name: writer, version: 1.0.0, owner: qa}
spec: {variables: {product: {type: string}, language: {type: string, default: English}}}
---
Write of {{ product }} in {{language}}.
"""
TOOL = """apiVersion: penstock.dev/v1
kind: Tool
metadata: {name: search, version: 1.0.0, owner: qa, description: Searches.}
spec:
  input: {schema: {type: object, required: [query], properties: {query: {type: string}}}}
  output: {schema: {type: object, required: [hits], properties: {hits: {type: array}}}}
  params: {schema: {type: object, properties: {limit: {type: integer, maximum: 10}}}}
  implementation: {type: python, entry: "tool:search"}
  sideEffects: read
  examples: [{arguments: {query: a}, result: {hits: []}}]
"""
POLICY = """apiVersion: penstock.dev/v1
kind: Policy
metadata: {name: default, version: 1.0.0, owner: qa}
spec: {rules: [{name: all, effect: allow, actions: ["*"], resources: ["tools/*", "agents/writer"]}]}
"""
MODEL = """apiVersion: penstock.dev/v1
kind: Model
metadata: {name: standard, version: 1.0.0, owner: platform, labels: {tier: low}}
spec:
  model: scripted/qa
  parameters: {apiKey: {secret: KEY_NAME}}
  contextTokens: 1000
  price: {inputUsdPer1M: 0, outputUsdPer1M: 0}
"""
RUNTIME = """apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0"
  adapter: direct
  capabilities: {modes: [workflow], toolCalling: true, maxContextTokens: 100000}
"""
SUITE = """apiVersion: penstock.dev/v1
kind: ContractSuite
metadata: {name: writer}
spec:
  cases:
    - name: plain
      input: {product: Penstock}
      expect: {events: [run.started, "*", run.finished]}
"""
DATASET = """apiVersion: penstock.dev/v1
kind: Dataset
metadata: {name: products, version: 1.0.0, owner: qa}
spec: {schema: {type: object, required: [product]}, provenance: written by hand}
"""
EVAL = """apiVersion: penstock.dev/v1
kind: EvalSuite
metadata: {name: writer}
spec: {datasets: [products]}
"""
JUDGED = """apiVersion: penstock.dev/v1
kind: EvalSuite
metadata: {name: writer}
spec:
  datasets: [products]
  pace: {standard: {rpm: 60}}
  scorers:
    - {scorer: own/good_titles}
    - {scorer: trajectory, params: {arguments: custom, compare: own/good_titles}}
    - {scorer: judge, agent: agents/judge@1.0.0, calibration: labels}
"""
TEAMS = """teams:
  qa: {members: [author@example.org], approvers: [approver@example.org]}
  platform: {members: [platform@example.org]}
platformTeam: platform
"""
SMALL = {
    "registry_repo/agents/writer/1.0.0.yaml": AGENT,
    "registry_repo/prompts/writer/1.0.0.md": PROMPT,
    "registry_repo/tools/search/1.0.0.yaml": TOOL,
    "registry_repo/tools/search/1.0.0/tool.py": "async def search(arguments, ctx):\n    return {'hits': []}\n",
    "registry_repo/policies/default/1.0.0.yaml": POLICY,
    "registry_repo/models/standard/1.0.0.yaml": MODEL,
    "registry_repo/teams.yaml": TEAMS,
    "runtimes/direct.yaml": RUNTIME,
    "contract_suites/writer/suite.yaml": SUITE,
    "datasets/products/dataset.yaml": DATASET,
    "datasets/products/cases.jsonl": '{"id": "a", "input": {"product": "x"}}\n',
    "evals/writer.yaml": EVAL,
}


@pytest.fixture
def files() -> dict[str, str]:
    """The small registry's files, free to change."""
    return dict(SMALL)


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """The small registry, committed."""
    return project(SMALL, tmp_path / "project")


@pytest.fixture
def files_of_evals(files: dict[str, str]) -> dict[str, str]:
    """The small registry, and beside it a judge of the writer, labels for it, and a scorer of the project's own."""
    writer, prompt = files["registry_repo/agents/writer/1.0.0.yaml"], files["registry_repo/prompts/writer/1.0.0.md"]
    judge = writer.replace("name: writer", "name: judge").replace("prompts/writer", "prompts/judge")
    return {
        **files,
        "registry_repo/agents/judge/1.0.0.yaml": judge,
        "registry_repo/prompts/judge/1.0.0.md": prompt.replace("name: writer", "name: judge"),
        "evals/scorers/good_titles.py": "def score(case, trial) -> bool:\n    return True\n",
        "datasets/labels/dataset.yaml": DATASET.replace("name: products", "name: labels"),
        "datasets/labels/cases.jsonl": '{"id": "l", "input": {"product": "x"}, "answer": "a", "label": true}\n',
        "evals/writer.yaml": JUDGED,
    }
