"""A project with two versions of an agent that reads and writes, live runs of the first, and a model by rules."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from penstock.engine.assembly import assemble
from penstock.engine.call import RunCall
from penstock.gates.context import GateContext
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ToolRequest, Usage
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.resolve import Resolved, resolve
from penstock.registry.source import TreeSource
from penstock.settings import Settings, load_settings
from penstock.store.database import Database, open_database
from penstock.store.runs import RunStore
from penstock.testing.memory_sink import MemorySink
from penstock.testing.project import Project, project

HEAD = "apiVersion: penstock.dev/v1\n"
RUNTIME = """\
kind: Runtime
metadata: {{name: {name}}}
spec:
  runtime: {distribution}
  versions: ">=0"
  adapter: {name}
  capabilities: {{modes: [workflow], toolCalling: true, streaming: true, maxContextTokens: 100000}}
"""
AGENT = """\
kind: Agent
metadata: {{name: echo, version: {version}, owner: qa}}
spec:
  mode: workflow
  promptRef: prompts/echo@{version}
  modelRef: models/standard@1.0.0
  toolRefs: [tools/search@1.0.0, tools/store@1.0.0]
  policyRefs: [policies/default@1.0.0]
  input: {{schema: {{type: object, properties: {{text: {{type: string}}}}, required: [text]}}}}
  output: {{schema: {{type: object, properties: {{said: {{type: string}}}}, required: [said]}}}}
  runtime: {{selector: direct}}
"""
PROMPT = """\
---
{head}kind: Prompt
metadata: {{name: echo, version: {version}, owner: qa}}
spec: {{role: system}}
---
{body}
"""
TOOL = """\
kind: Tool
metadata: {{name: {name}, version: 1.0.0, owner: qa, description: Finds or keeps.}}
spec:
  input: {{schema: {{type: object}}}}
  output: {{schema: {{type: object}}}}
  implementation: {{type: python, entry: "tool:run"}}
  sideEffects: {effects}
"""
STORE = """\
from pathlib import Path

async def run(arguments, ctx):
    with Path({file!r}).open("a") as notes:
        notes.write(arguments["q"] + "\\n")
    return {{"kept": True}}
"""
SUITE = """\
kind: EvalSuite
metadata: {name: echo}
spec:
  datasets: [words]
  concurrency: 8
  budget: {costUsd: 5}
"""
DATASET = """\
kind: Dataset
metadata: {name: words, version: 1.0.0, owner: qa}
spec:
  schema: {type: object, properties: {text: {type: string}}, required: [text]}
  provenance: Written for this test.
"""
WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def files(notes: Path) -> dict[str, str]:
    """The project's files; its writing tool appends to `notes`."""
    written = {
        "pipelines/release.yaml": (
            "kind: Pipeline\nmetadata: {name: default}\nspec:\n  stages: {dev: {gates: []}, canary: {gates: []}, "
            "prod: {gates: []}}\n  canary: {steps: [{percent: 20}]}\n"
        ),
        "registry_repo/models/standard/1.0.0.yaml": (
            "kind: Model\nmetadata: {name: standard, version: 1.0.0, owner: qa}\n"
            "spec: {model: scripted/echo, contextTokens: 8000, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}\n"
        ),
        "registry_repo/policies/default/1.0.0.yaml": (
            "kind: Policy\nmetadata: {name: default, version: 1.0.0, owner: qa}\n"
            "spec: {rules: [{name: all, effect: allow}]}\n"
        ),
        "registry_repo/tools/search/1.0.0.yaml": TOOL.format(name="search", effects="read"),
        "registry_repo/tools/store/1.0.0.yaml": TOOL.format(name="store", effects="write"),
        "runtimes/direct.yaml": RUNTIME.format(name="direct", distribution="penstock"),
        "runtimes/langgraph.yaml": RUNTIME.format(name="langgraph", distribution="langgraph"),
        "evals/echo.yaml": SUITE,
        "datasets/words/dataset.yaml": DATASET,
        "registry_repo/agents/echo/1.0.0.yaml": AGENT.format(version="1.0.0"),
        "registry_repo/agents/echo/1.1.0.yaml": AGENT.format(version="1.1.0"),
    }
    return {
        **{path: HEAD + text for path, text in written.items()},
        "registry_repo/teams.yaml": "teams: {qa: {members: [a@example.org], approvers: [b@example.org]}}\n",
        "registry_repo/prompts/echo/1.0.0.md": PROMPT.format(head=HEAD, version="1.0.0", body="Say it again."),
        "registry_repo/prompts/echo/1.1.0.md": PROMPT.format(head=HEAD, version="1.1.0", body="Say it better."),
        "registry_repo/tools/search/1.0.0/tool.py": "async def run(arguments, ctx):\n    return {'hits': 1}\n",
        "registry_repo/tools/store/1.0.0/tool.py": STORE.format(file=str(notes)),
        "datasets/words/cases.jsonl": "".join(
            json.dumps({"id": word, "input": {"text": word}}) + "\n" for word in WORDS
        ),
    }


@dataclass
class Model:
    """Asks for both tools, then says the text. `better` is what version 1.1.0 makes of a text; faults are by text."""

    better: Callable[[str], str] = field(default=lambda text: text)
    keeps: Callable[[str], str] = field(default=lambda text: text)
    fails: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    cost_usd: float | None = 0.001
    better_cost_usd: float | None = 0.001
    moody: bool = False
    calls: int = 0
    streamed: int = 0

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """Answers as the version's prompt says."""
        self.calls += 1
        self.streamed += call.on_delta is not None
        is_new = "better" in str(call.messages[0]["content"])
        text = json.loads(next(str(one["content"]) for one in call.messages if one["role"] == "user"))["text"]
        if text in self.fails and is_new:
            raise ModelFailed("the model is away", where=call.ref, now="try again")
        usage = Usage(10, 5, self.better_cost_usd if is_new else self.cost_usd)
        if call.messages[-1]["role"] == "user" and len(call.messages) == 2:
            kept = self.keeps(text) if is_new else text
            asked = [ToolRequest("a", "search", '{"q": "x"}'), ToolRequest("b", "store", json.dumps({"q": kept}))]
            if self.moody and self.calls % 2:
                asked.reverse()
                asked.append(ToolRequest("c", "search", '{"q": "y"}'))
            return ModelAnswer(None, tuple(asked), usage, "tool_calls", ttft_ms=2.0)
        said: Any = {"said": self.better(text) if is_new else text}
        if text in self.broken and is_new:
            said = {"told": text}
        return ModelAnswer(json.dumps(said), (), usage, ttft_ms=2.0)


@dataclass
class World:
    """The project, its database, and the file that its writing tool appends to."""

    project: Project
    notes: Path
    database: Database
    model: Model = field(default_factory=Model)

    @property
    def settings(self) -> Settings:
        """The project's settings."""
        return load_settings(self.project.root)

    @property
    def registry(self) -> Registry:
        """The project as it stands."""
        return load_registry(TreeSource(self.project.root), default_runtime="direct")

    @property
    def store(self) -> RunStore:
        """The stored runs."""
        return RunStore(self.database)

    @property
    def written(self) -> list[str]:
        """What the writing tool was really asked to keep."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def resolved(self, version: str) -> Resolved:
        """A version of the agent."""
        return resolve(self.registry, "echo", version)

    def context(self, version: str = "1.1.0", against: str | None = "1.0.0", **fields: Any) -> GateContext:
        """A released version before its gates, prod serving another."""
        registry = self.registry
        context = GateContext(
            settings=self.settings,
            registry=registry,
            resolved=resolve(registry, "echo", version),
            origin="released",
            baseline=resolve(registry, "echo", against).release if against is not None else None,
            runs=self.store,
        )
        return replace(context, **fields)

    def live(self, texts: Sequence[str], version: str = "1.0.0", stage: str = "prod") -> list[str]:
        """Runs a version for its users, once a text, and stores that; returns the runs' ids."""
        sink = MemorySink()

        async def serve() -> list[str]:
            resolved = self.resolved(version)
            parts = assemble(
                self.settings, self.registry.runtimes, resolved.blobs.__getitem__, sink=sink, provider=self.model
            )
            call = RunCall(
                release=resolved.release,
                prompt_body=resolved.blobs[resolved.release.prompt.body],
                runtime="direct",
                input=None,
                stage=stage,
                tenant="shop",
            )
            try:
                ids = []
                for number, text in enumerate(texts):
                    handle = parts.engine.start(replace(call, input={"text": text}, run_id=f"run-{stage}-{number}"))
                    ids.append((await handle.result()).run_id)
                return ids
            finally:
                await parts.close()

        ids = asyncio.run(serve())
        self.store.ingest(sink.records)
        return ids


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The project; gates measure with the world's model, and its dataset counts as checked."""
    from penstock.gates import dataset_checks
    from penstock.scoring import rig

    notes = tmp_path / "notes.txt"
    made = project(files(notes), root=tmp_path / "project")
    database = open_database(f"sqlite:///{made.root / '.penstock' / 'store.db'}")
    world = World(made, notes, database)
    open_rig = rig.open_rig
    monkeypatch.setattr(rig, "open_rig", lambda settings, registry: open_rig(settings, registry, provider=world.model))
    checked = [{"name": "words", "digest": "sha256:w", "passed": True, "why": "", "checks": []}]
    monkeypatch.setattr(dataset_checks, "check_datasets", lambda context, spec: checked)
    yield world
    database.close()


@pytest.fixture
def model() -> type[Model]:
    return Model


def words(pattern: str) -> list[str]:
    """The words of the dataset that fit."""
    return [word for word in WORDS if re.search(pattern, word)]
