import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.pipeline import GateUse
from penstock.contracts.release import Release, ToolComponent
from penstock.engine.engine import Engine
from penstock.engine.router import RuntimeRouter
from penstock.engine.sink import NoSink
from penstock.errors import Invalid, NotFound, Refused
from penstock.gates.context import GateContext
from penstock.gates.gate import run_gate
from penstock.gates.recording import cases_to_record, record_cases, write_recordings
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ToolInvocation, ToolRequest, Usage
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.settings import Settings
from penstock.testing.project import Project, project

RUNTIME = """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {{name: {name}}}
spec:
  runtime: {name_of}
  versions: ">=0"
  adapter: {name}
  capabilities: {{modes: [workflow], toolCalling: true, maxContextTokens: 100000}}
"""
AGENT = """\
apiVersion: penstock.dev/v1
kind: Agent
metadata: {name: echo, version: 1.0.0, owner: qa}
spec:
  mode: workflow
  promptRef: prompts/echo@1.0.0
  modelRef: models/standard@1.0.0
  toolRefs: [tools/search@1.0.0, tools/store@1.0.0]
  policyRefs: [policies/default@1.0.0]
  input: {schema: {type: object, properties: {text: {type: string}}, required: [text]}}
  output: {schema: {type: object, properties: {said: {type: string}}, required: [said]}}
  runtime: {selector: direct}
"""
TOOL = """\
apiVersion: penstock.dev/v1
kind: Tool
metadata: {{name: {name}, version: 1.0.0, owner: qa, description: Finds or keeps.}}
spec:
  input: {{schema: {{type: object}}}}
  output: {{schema: {{type: object}}}}
  implementation: {{type: python, entry: "tool:run"}}
  sideEffects: {effects}
"""
SUITE = """\
apiVersion: penstock.dev/v1
kind: ContractSuite
metadata: {name: echo}
spec:
  cases:
    - name: hello
      input: {text: hello}
      fixtures: {store: [{kept: true}]}
      expect:
        events: [run.started, "*", tool.finished:search, "*", tool.finished:store, "*", run.finished]
        output:
          - {path: $.said, matches: "^hello"}
    - name: bye
      input: {text: bye}
      fixtures: {store: [{kept: true}]}
      expect:
        events: [run.started, "*", run.finished]
"""
FILES = {
    "registry_repo/teams.yaml": "teams: {qa: {members: [author@example.org], approvers: [approver@example.org]}}\n",
    "registry_repo/agents/echo/1.0.0.yaml": AGENT,
    "registry_repo/prompts/echo/1.0.0.md": (
        "---\napiVersion: penstock.dev/v1\nkind: Prompt\n"
        "metadata: {name: echo, version: 1.0.0, owner: qa}\nspec: {role: system}\n---\nSay it again.\n"
    ),
    "registry_repo/models/standard/1.0.0.yaml": (
        "apiVersion: penstock.dev/v1\nkind: Model\nmetadata: {name: standard, version: 1.0.0, owner: qa}\n"
        "spec: {model: scripted/echo, contextTokens: 8000, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}\n"
    ),
    "registry_repo/policies/default/1.0.0.yaml": (
        "apiVersion: penstock.dev/v1\nkind: Policy\nmetadata: {name: default, version: 1.0.0, owner: qa}\n"
        "spec: {rules: [{name: all, effect: allow}]}\n"
    ),
    "registry_repo/tools/search/1.0.0.yaml": TOOL.format(name="search", effects="read"),
    "registry_repo/tools/search/1.0.0/tool.py": "async def run(arguments, ctx):\n    return {}\n",
    "registry_repo/tools/store/1.0.0.yaml": TOOL.format(name="store", effects="write"),
    "registry_repo/tools/store/1.0.0/tool.py": "async def run(arguments, ctx):\n    return {}\n",
    "contract_suites/echo/suite.yaml": SUITE,
    "runtimes/direct.yaml": RUNTIME.format(name="direct", name_of="penstock"),
    "runtimes/langgraph.yaml": RUNTIME.format(name="langgraph", name_of="langgraph"),
}


class Model:
    """Asks for both tools at once, then says what the user said; `suffix` makes it another model."""

    def __init__(self, suffix: str = "", *, ask: tuple[str, ...] = ("search", "store")) -> None:
        self.suffix = suffix
        self.ask = ask
        self.calls = 0

    async def complete(self, call: ModelCall) -> ModelAnswer:
        self.calls += 1
        usage = Usage(10, 5, 0.00002)
        if self.ask and call.messages[-1]["role"] == "user":
            requests = tuple(ToolRequest(f"x{i}", name, '{"q": "x"}') for i, name in enumerate(self.ask))
            return ModelAnswer(None, requests, usage, "tool_calls", ttft_ms=3.5)
        said = json.loads(next(message["content"] for message in call.messages if message["role"] == "user"))["text"]
        return ModelAnswer(json.dumps({"said": said + self.suffix}), (), usage, ttft_ms=4.5)


class Tools:
    async def run(self, tool: ToolComponent, call: ToolInvocation) -> dict[str, Any]:
        assert tool.name == "search", "a writing tool must never be called while recording"
        return {"hits": 1}


def gate_context(made: Project, **fields: Any) -> GateContext:
    registry = load_registry(TreeSource(made.root))
    settings = Settings(root=made.root, default_runtime="direct")
    version = fields.pop("version", "1.0.0")
    return GateContext(settings=settings, registry=registry, resolved=resolve(registry, "echo", version), **fields)


def record(made: Project, model: Any = None, version: str = "1.0.0", names: tuple[str, ...] = ()) -> list[str]:
    registry = load_registry(TreeSource(made.root))
    resolved = resolve(registry, "echo", version)

    async def work() -> dict[str, bytes]:
        engine = Engine(RuntimeRouter(registry.runtimes), model or Model(), Tools(), NoSink())
        return await record_cases(engine, resolved, cases_to_record(registry, "echo", names), "direct")

    return write_recordings(made.root, asyncio.run(work()))


def judge(made: Project, **fields: Any) -> Any:
    return run_gate(gate_context(made, **fields), GateUse.model_validate({"gate": "contract"}))


@pytest.fixture
def echo(tmp_path: Path) -> Project:
    return project(FILES, tmp_path / "project")


@pytest.fixture
def recorded(echo: Project) -> Project:
    assert record(echo) == ["contract_suites/echo/1.0.0/hello.jsonl", "contract_suites/echo/1.0.0/bye.jsonl"]
    return echo


def test_recorded_cases_hold_on_every_runtime(recorded: Project) -> None:
    result = judge(recorded)
    assert result.artifacts.get("log", "") == ""
    assert (result.outcome, result.reason) == ("passed", "2 cases hold on direct and langgraph")
    assert result.measured == {"cases": 2, "passed": 2, "changedSequences": 0}
    assert result.artifacts["cases"][0]["sequence"][:4] == [
        *("run.started", "llm.started:standard", "llm.finished:standard", "tool.started:search")
    ]
    assert result.suite is not None
    assert result.inputs["suite"] == result.suite
    assert list(result.inputs["runtimes"]) == ["direct", "langgraph"]
    assert all(found["runtime"] for found in result.inputs["runtimes"].values())


def test_recording_again_gives_the_same_bytes(recorded: Project) -> None:
    before = {path: path.read_bytes() for path in (recorded.root / "contract_suites").rglob("*.jsonl")}
    assert len(before) == 2
    assert record(recorded) == []
    assert {path: path.read_bytes() for path in before} == before
    assert b"ttft" not in next(iter(before.values()))


def test_one_case_can_be_recorded_alone(echo: Project) -> None:
    assert record(echo, names=("bye",)) == ["contract_suites/echo/1.0.0/bye.jsonl"]
    with pytest.raises(NotFound, match="no case 'by'"):
        record(echo, names=("by",))


def test_a_missing_recording_says_what_to_run(echo: Project) -> None:
    result = judge(echo)
    assert result.outcome == "failed"
    assert result.reason == (
        "2 of 2 recordings are missing or stale: contract_suites/echo/1.0.0/hello.jsonl is missing; "
        "run `agentctl record echo@1.0.0`"
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"registry_repo/agents/echo/1.0.0.yaml": AGENT + "  limits: {maxSteps: 9}\n"}, "its release changed since"),
        ({"contract_suites/echo/suite.yaml": SUITE.replace("text: hello", "text: hullo")}, "its input changed since"),
        (
            {"contract_suites/echo/suite.yaml": SUITE.replace("kept: true", "kept: false")},
            "its fixtures changed since",
        ),
    ],
)
def test_a_stale_recording_fails(recorded: Project, change: dict[str, str], why: str) -> None:
    recorded.write(change)
    result = judge(recorded)
    assert result.outcome == "failed"
    assert why in result.reason
    assert "run `agentctl record echo@1.0.0`" in result.reason


def test_a_cut_recording_names_its_line(recorded: Project) -> None:
    path = recorded.root / "contract_suites/echo/1.0.0/hello.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    result = judge(recorded)
    assert result.outcome == "failed"
    assert "contract_suites/echo/1.0.0/hello.jsonl:5 cannot be read" in result.reason


def test_an_unmet_expectation_fails_and_names_runtime_and_place(echo: Project) -> None:
    record(echo, Model(ask=("search",)))
    result = judge(echo)
    assert result.outcome == "failed"
    assert result.reason.startswith("1 of 2 cases failed: hello: on direct: event")
    assert "tool.finished:store" in result.reason
    [hello, bye] = result.artifacts["cases"]
    assert len(hello["faults"]) == 2
    assert bye["faults"] == []


def test_an_unmet_output_fails(recorded: Project) -> None:
    recorded.write({"contract_suites/echo/suite.yaml": SUITE.replace("^hello", "^good day")})
    result = judge(recorded)
    assert result.outcome == "failed"
    assert "$.said is \"hello\", which does not contain '^good day'" in result.reason


def test_a_broken_suite_names_file_and_line(recorded: Project) -> None:
    broken = SUITE.replace("tool.finished:search", "tool.done:search").replace("name: bye", "name: hello")
    broken = broken.replace("^hello", "(?=h)hello")
    recorded.write({"contract_suites/echo/suite.yaml": broken})
    result = judge(recorded)
    assert result.outcome == "failed"
    listed = result.artifacts["faults"]
    assert len(listed) == 3
    assert any(
        "suite.yaml:10:36: spec.cases[0].expect.events[2]: no event type 'tool.done'" in fault for fault in listed
    )
    assert any("suite.yaml:13:13: spec.cases[1].name: case 'hello' is there twice" in fault for fault in listed)
    assert any("suite.yaml:12:13: spec.cases[0].expect.output[0]: '(?=h)hello' is no" in fault for fault in listed)


def test_a_suite_that_is_no_yaml_fails_with_its_place(recorded: Project) -> None:
    recorded.write({"contract_suites/echo/suite.yaml": "apiVersion: [\n"})
    result = judge(recorded)
    assert result.outcome == "failed"
    assert "the suite is broken: contract_suites/echo/suite.yaml:" in result.reason


def test_no_suite_fails(recorded: Project) -> None:
    recorded.write({"contract_suites/echo/suite.yaml": None})
    result = judge(recorded)
    assert (result.outcome, result.reason) == (
        "failed",
        "there is no contract suite: write contract_suites/echo/suite.yaml",
    )


def test_an_agent_without_its_runtime_is_no_evidence(recorded: Project) -> None:
    recorded.write({"runtimes/direct.yaml": RUNTIME.format(name="direct", name_of="not-installed-anywhere")})
    result = judge(recorded)
    assert (result.outcome, result.reason) == ("errored", "not-installed-anywhere is not installed")


async def test_it_can_be_asked_from_within_an_event_loop(recorded: Project) -> None:
    assert judge(recorded).outcome == "passed"


class Sleeping:
    """A runtime that never answers."""

    def __init__(self, declaration: Any) -> None:
        self.declaration = declaration

    async def run(self, agent: Release, request: Any, doors: Any) -> Any:
        await asyncio.Event().wait()


class Loud:
    """A runtime that asks something else of the model than the others do."""

    def __init__(self, declaration: Any) -> None:
        self.declaration = declaration

    async def run(self, agent: Release, request: Any, doors: Any) -> Any:
        answer = await doors.llm.complete([*request.messages, {"role": "user", "content": "LOUDER"}])
        raise AssertionError(answer)


class Crashing(Loud):
    async def run(self, agent: Release, request: Any, doors: Any) -> Any:
        raise RuntimeError("segment of my own making")


@pytest.fixture
def with_runtime(recorded: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, type], Project]:
    from penstock.engine.router import RUNTIMES

    def add(name: str, adapter: type) -> Project:
        monkeypatch.setitem(RUNTIMES._known, name, adapter)
        recorded.write({f"runtimes/{name}.yaml": RUNTIME.format(name=name, name_of="penstock")})
        return recorded

    return add


def test_a_runtime_that_asks_something_else_does_not_agree(with_runtime: Callable[[str, type], Project]) -> None:
    result = judge(with_runtime("loud", Loud))
    assert result.outcome == "failed"
    assert "on loud: the journal has no model call 1" in result.reason


def test_a_replay_that_breaks_is_no_evidence(with_runtime: Callable[[str, type], Project]) -> None:
    result = judge(with_runtime("crashing", Crashing))
    assert result.outcome == "errored"
    assert result.reason == "the replay of case hello on runtime crashing broke: the runtime raised RuntimeError"


def test_replays_that_do_not_end_are_no_evidence(with_runtime: Callable[[str, type], Project]) -> None:
    made = with_runtime("sleeping", Sleeping)
    result = run_gate(gate_context(made), GateUse.model_validate({"gate": "contract", "params": {"timeoutS": 1}}))
    assert (result.outcome, result.reason) == ("errored", "the replays did not end within 1 s")


def second_version(made: Project, model: Any, sequence: str = "show") -> Release:
    """1.1.0 beside 1.0.0, recorded; returns the release of 1.0.0, which prod is to serve."""
    suite = SUITE.replace("spec:\n", f"spec:\n  sequence: {sequence}\n", 1).replace(
        '"*", tool.finished:search, "*", tool.finished:store, "*"', '"*"'
    )
    made.write(
        {
            "contract_suites/echo/suite.yaml": suite,
            "registry_repo/agents/echo/1.1.0.yaml": AGENT.replace("version: 1.0.0, owner", "version: 1.1.0, owner"),
        }
    )
    record(made, model, "1.1.0")
    return gate_context(made).release


def test_a_changed_sequence_is_shown(recorded: Project) -> None:
    baseline = second_version(recorded, Model(ask=("search",)))
    result = judge(recorded, version="1.1.0", baseline=baseline)
    assert result.outcome == "passed"
    assert result.reason.endswith("; 2 with another sequence than 1.0.0")
    assert result.baseline == baseline.digest
    assert "-tool.started:store" in result.artifacts["cases"][0]["changedAgainstBaseline"]


def test_a_changed_sequence_blocks_where_the_suite_says_so(recorded: Project) -> None:
    baseline = second_version(recorded, Model(ask=("search",)), "block")
    result = judge(recorded, version="1.1.0", baseline=baseline)
    assert (result.outcome, result.reason) == (
        "failed",
        "the sequence of 2 cases changed against 1.0.0: hello, bye",
    )


def test_an_equal_sequence_with_other_words_does_not_block(recorded: Project) -> None:
    baseline = second_version(recorded, Model(" indeed"), "block")
    assert judge(recorded, version="1.1.0", baseline=baseline).outcome == "passed"


def test_the_baseline_is_no_input_where_it_was_never_recorded(recorded: Project) -> None:
    baseline = second_version(recorded, Model())
    for file in (recorded.root / "contract_suites/echo/1.0.0").iterdir():
        file.unlink()
    result = judge(recorded, version="1.1.0", baseline=baseline)
    assert (result.outcome, result.baseline, result.inputs["baseline"]) == ("passed", None, None)


def test_a_fault_of_the_moment_is_never_recorded(echo: Project) -> None:
    class Away:
        async def complete(self, call: ModelCall) -> ModelAnswer:
            raise ModelFailed("the provider answers 503", retryable=True)

    with pytest.raises(Refused, match="2 of 2 cases could not be recorded: hello: the provider answers 503"):
        record(echo, Away())
    assert list((echo.root / "contract_suites").rglob("*.jsonl")) == []


def test_a_write_without_a_fixture_is_never_recorded(echo: Project) -> None:
    echo.write({"contract_suites/echo/suite.yaml": SUITE.replace("      fixtures: {store: [{kept: true}]}\n", "")})
    with pytest.raises(Refused, match=r"tools/store@1\.0\.0 writes"):
        record(echo)


def test_a_broken_suite_is_not_recorded(echo: Project) -> None:
    echo.write({"contract_suites/echo/suite.yaml": SUITE.replace("run.finished]", "run.ended]")})
    with pytest.raises(Invalid, match="the contract suite is broken"):
        record(echo)


def test_an_untouched_recording_is_not_written_again(recorded: Project) -> None:
    path = recorded.root / "contract_suites/echo/1.0.0/hello.jsonl"
    files = {"contract_suites/echo/1.0.0/hello.jsonl": path.read_bytes(), "contract_suites/echo/1.0.0/new.jsonl": b"x"}
    assert write_recordings(recorded.root, files) == ["contract_suites/echo/1.0.0/new.jsonl"]
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []
