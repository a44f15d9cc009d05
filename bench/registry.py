"""Validating a large registry: cold, and a change of it, beside what reading and parsing alone cost in the same run.

`python bench/registry.py [--specs 10000] [--changed 100]`
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from yaml._yaml import CParser

from penstock.registry.change import change_against
from penstock.registry.git import Repository
from penstock.registry.load import load_registry
from penstock.registry.source import PROJECT_FOLDERS, GitSource

MOST_SPECS = 50_000
VERSIONS = 4
OWNER = "owner: team-{team}"
RUNTIME = """apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0.1"
  adapter: direct
  capabilities: {modes: [workflow, conversational], toolCalling: true, streaming: true, maxContextTokens: 1000000}
"""
AGENT = """# Version {version} of agent {n}.
apiVersion: penstock.dev/v1
kind: Agent
metadata:
  name: agent-{n}
  version: {version}
  owner: team-{team}
  description: Writes what number {n} needs, from the text that it is given.
  labels: {{domain: qa, tier: "2"}}
spec:
  mode: workflow
  promptRef: prompts/prompt-{n}@{version}
  promptVariables: {{language: German, product: {{from: /product}}}}
  modelRef: models/model-{model}@1.0.0
  toolRefs:
    - {{ref: tools/tool-{tool}@1.0.0, params: {{limit: 5}}}}
  policyRefs: [policies/policy-{policy}@1.0.0]
  input:
    schema:
      type: object
      required: [requirement, product]
      additionalProperties: false
      properties:
        requirement: {{type: string, minLength: 1, maxLength: {length}}}
        product: {{type: string}}
  output:
    schema:
      type: object
      required: [testCases]
      properties:
        testCases: {{type: array, items: {{type: object, required: [title], properties: {{title: {{type: string}}}}}}}}
  runtime: {{selector: direct, requires: {{toolCalling: true, streaming: true}}}}
  limits: {{timeoutMs: 30000, maxSteps: 20, maxTokens: 100000, maxCostUsd: 0.5}}
  slo: {{successRate: 0.99, p95Ms: 30000, costPerRunUsd: 0.05}}
  routing: {{stickyBy: session}}
"""
PROMPT = """---
apiVersion: penstock.dev/v1
kind: Prompt
metadata: {{name: prompt-{n}, version: {version}, owner: team-{team}}}
spec:
  role: system
  variables:
    language: {{type: string, default: English}}
    product: {{type: string}}
---
You write test cases for {{{{ product }}}} in {{{{ language }}}}, as team {team} likes them ({n}, {version}).

Think of limits, of what must not happen, and of who may do it.
"""
TOOL = """apiVersion: penstock.dev/v1
kind: Tool
metadata: {{name: tool-{n}, version: {version}, owner: team-{team}, description: Searches collection {n}.}}
spec:
  input: {{schema: {{type: object, required: [query], properties: {{query: {{type: string}}}}}}}}
  output: {{schema: {{type: object, required: [hits], properties: {{hits: {{type: array}}}}}}}}
  params: {{schema: {{type: object, properties: {{limit: {{type: integer, minimum: 1, maximum: {limit}}}}}}}}}
  implementation: {{type: python, entry: "tool:search"}}
  sideEffects: read
  idempotent: true
  examples: [{{arguments: {{query: login}}, result: {{hits: []}}}}]
"""
CODE = 'async def search(arguments, ctx):\n    return {{"hits": [], "n": {n}}}\n'
POLICY = """apiVersion: penstock.dev/v1
kind: Policy
metadata: {{name: policy-{n}, version: {version}, owner: team-{team}}}
spec:
  rules:
    - {{name: run, effect: allow, actions: [run.start, model.use], reason: open to all}}
    - {{name: tools, effect: allow, actions: [tool.call], resources: ["tools/tool-*"]}}
    - {{name: guests, effect: deny, actions: ["*"], subjects: ["tenant:guest-{n}"], reason: guests only look}}
"""
MODEL = """apiVersion: penstock.dev/v1
kind: Model
metadata: {{name: model-{n}, version: {version}, owner: team-{team}}}
spec:
  model: openai/model-{n}
  parameters: {{temperature: 0.2, apiKey: {{secret: OPENAI_API_KEY}}}}
  contextTokens: 128000
  price: {{inputUsdPer1M: 1.25, outputUsdPer1M: 10}}
"""


def files(specs: int) -> Iterator[tuple[str, str]]:
    """`specs` documents: 40 % agents, 40 % prompts, 15 % tools (each with code), the rest policies and models."""
    teams = "".join(f"  team-{n}: {{members: [member{n}@example.org]}}\n" for n in range(20))
    yield "registry_repo/teams.yaml", f"teams:\n{teams}"
    yield "runtimes/direct.yaml", RUNTIME
    tools, policies, models = specs * 15 // 100, specs * 3 // 100, specs * 2 // 100
    agents = (specs - tools - policies - models) // 2
    for n in range(agents):
        yield from pair(n // VERSIONS, f"1.{n % VERSIONS}.0", tools, policies, models)
    for n in range(tools):
        name = f"registry_repo/tools/tool-{n}/1.0.0"
        yield f"{name}.yaml", TOOL.format(n=n, version="1.0.0", team=n % 20, limit=10 + n % 90)
        yield f"{name}/tool.py", CODE.format(n=n)
    for n in range(policies):
        yield f"registry_repo/policies/policy-{n}/1.0.0.yaml", POLICY.format(n=n, version="1.0.0", team=n % 20)
    for n in range(models):
        yield f"registry_repo/models/model-{n}/1.0.0.yaml", MODEL.format(n=n, version="1.0.0", team=n % 20)


def pair(n: int, version: str, tools: int, policies: int, models: int) -> Iterator[tuple[str, str]]:
    """An agent's version and its prompt's."""
    pins = {"tool": n % max(tools, 1), "policy": n % max(policies, 1), "model": n % max(models, 1)}
    values = {"n": n, "version": version, "team": n % 20, "length": 1000 + n}
    yield f"registry_repo/agents/agent-{n}/{version}.yaml", AGENT.format(**values, **pins)
    yield f"registry_repo/prompts/prompt-{n}/{version}.md", PROMPT.format(**values)


def build(root: Path, specs: int, changed: int) -> tuple[Repository, str, str]:
    """The repository with a commit of `specs` documents and a commit on it with `changed` new ones."""
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    tools, policies, models = specs * 15 // 100, specs * 3 // 100, specs * 2 // 100
    fresh = [file for n in range(changed // 2) for file in pair(n, "2.0.0", tools, policies, models)]
    stream = commit("main", files(specs)) + commit("main", fresh)
    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input=stream, check=True)
    repository = Repository.open(root)
    return repository, repository.resolve("main~1"), repository.resolve("main")


def commit(branch: str, contents: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> bytes:
    """One commit in the language of `git fast-import`."""
    parts = [
        f"commit refs/heads/{branch}\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata 5\nbench\n".encode()
    ]
    for path, text in contents:
        data = text.encode()
        parts.append(f"M 100644 inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
    return b"".join(parts) + b"\n"


def best(work: Callable[[], object], rounds: int) -> float:
    """The shortest of `rounds`, seconds: the machine is shared."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def read_all(repository: Repository, head: str) -> list[bytes]:
    return [repository.read_blob(file.blob) for file in repository.files(head, PROJECT_FOLDERS)]


def parse_all(texts: list[str]) -> int:
    events = 0
    for text in texts:
        parser = CParser(text)
        while parser.get_event() is not None:
            events += 1
    return events


def validate_cold(root: Path, head: str) -> None:
    registry = load_registry(GitSource(Repository.open(root), head))
    assert not registry.faults, registry.faults[:3]


def validate_change(root: Path, base: str, head: str) -> None:
    repository = Repository.open(root)
    source = GitSource(repository, head)
    change = change_against(repository, source, base)
    registry = load_registry(source, only=change.reading())
    assert not registry.faults, registry.faults[:3]
    assert registry.documents, "nothing was read"


def main() -> int:
    """Prints the table; returns 1 when a stated figure is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specs", type=int, default=10_000)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    specs = min(chosen.specs, MOST_SPECS)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        root = Path(folder)
        repository, base, head = build(root, specs, chosen.changed)
        blobs = read_all(repository, base)
        texts = [front(data) for data in blobs if not data.startswith(b"async def")]
        reading = best(lambda: read_all(Repository.open(root), base), chosen.rounds)
        parsing = best(lambda: parse_all(texts), chosen.rounds)
        cold = best(lambda: validate_cold(root, base), chosen.rounds)
        change = best(lambda: validate_change(root, base, head), chosen.rounds)
    limit = reading + parsing
    print(f"{specs} specs, one process, best of {chosen.rounds}")
    rows = [
        ("read every blob (pygit2)", reading, ""),
        ("parse every spec (C parser's events, no positions)", parsing, ""),
        ("validate, cold", cold, f"{cold / limit:.2f} x reading and parsing; figure <= {2.5 * specs / 10_000:.2f} s"),
        (f"validate {chosen.changed} changed", change, f"{change / cold:.3f} of cold; figure <= 0.15 s"),
    ]
    for name, seconds, note in rows:
        print(f"  {name:<52} {seconds:8.3f} s  {note}")
    return 0


def front(data: bytes) -> str:
    """The YAML of a file: of a prompt the front matter."""
    text = data.decode()
    return text[4 : text.index("\n---\n", 4)] if text.startswith("---\n") else text


if __name__ == "__main__":
    sys.exit(main())
