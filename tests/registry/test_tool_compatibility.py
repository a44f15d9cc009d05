"""New versions of tools against the agents that pin older ones: nothing runs, everything is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.registry.change import change_against
from penstock.registry.impact import impact, impact_paths
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
from penstock.registry.tool_compatibility import ToolChange, compatibility_faults
from penstock.testing.project import Project, project

OLD = "registry_repo/tools/search/1.0.0.yaml"
AGENT = "registry_repo/agents/writer/1.0.0.yaml"
RECORDING = "contract_suites/writer/1.0.0/plain.jsonl"
INPUT = "{type: object, required: [query], properties: {query: {type: string}}}"
OUTPUT = "{type: object, required: [hits], properties: {hits: {type: array}}}"
PARAMS = "{type: object, properties: {limit: {type: integer, maximum: 10}}}"
Make = Callable[..., Project]


def call(n: int, arguments: Any, response: Any, tool: str = "search") -> dict[str, Any]:
    request = {"name": tool, "arguments": arguments, "params": {"limit": 5}}
    return {"door": "tool", "scope": "main", "digest": "d", "n": n, "request": request, "response": response}


ENTRIES = [
    {"schema": "penstock.dev/journal/v1", "case": "plain"},
    {"door": "model", "scope": "main", "digest": "m", "n": 1, "request": {"name": "search"}, "response": {}},
    call(1, {"query": "a long query", "note": "undeclared"}, {"result": {"hits": [1, 2, 3]}}),
    call(2, {"query": "b"}, {"error": {"code": "failed", "what": "x", "text": "x"}}),
    call(1, {"query": 1}, {"result": {}}, tool="other"),
]


@pytest.fixture
def changed(tmp_path: Path, files: dict[str, str]) -> Make:
    """The small registry with recorded calls, and a branch that adds a version of its tool with other schemas."""

    def make(version: str, *, released: str = "1.0.0", more: dict[str, str] | None = None, **schemas: str) -> Project:
        text = files[OLD].replace("version: 1.0.0", f"version: {released}")
        moved = {path.replace("search/1.0.0", f"search/{released}"): content for path, content in files.items()}
        moved[OLD.replace("1.0.0", released)] = text
        moved[AGENT] = files[AGENT].replace("tools/search@1.0.0", f"tools/search@{released}")
        moved[RECORDING] = "".join(f"{json.dumps(entry)}\n" for entry in ENTRIES)
        made = project({**moved, **(more or {})}, tmp_path / "project")
        made.branch("side")
        new = text.replace(f"version: {released}", f"version: {version}").replace("examples: [", "#")
        for part, old in (("input", INPUT), ("output", OUTPUT), ("params", PARAMS)):
            new = new.replace(old, schemas.get(part, old))
        code = {f"registry_repo/tools/search/{version}/tool.py": "async def search(arguments, ctx): ...\n"}
        made.commit({OLD.replace("1.0.0", version): new, **code})
        return made

    return make


def found(made: Project) -> tuple[list[ToolChange], list[str]]:
    source = GitSource(made.repository, "HEAD")
    change = change_against(made.repository, source, "main")
    registry = load_registry(source)
    whole = impact(registry, change.added, change.files)
    reading = change.reading()
    assert reading is not None
    part = load_registry(source, only={*reading, *impact_paths(source, change.added)})
    assert part.faults == []
    assert impact(part, change.added, change.files) == whole
    faults = compatibility_faults(part, whole.tools)
    assert faults == compatibility_faults(registry, whole.tools)
    return whole.tools, [str(fault) for fault in faults]


def test_a_version_that_takes_more_breaks_nobody(changed: Make) -> None:
    wider = "{type: object, required: [query], properties: {query: {type: string}, page: {type: integer}}}"
    more = "{type: object, required: [hits, total], properties: {hits: {type: array}, total: {type: integer}}}"
    tools, faults = found(changed("1.1.0", input=wider, output=more))
    assert faults == []
    (one,) = tools
    assert (one.added, one.against, one.announced, one.is_breaking) == (
        "tools/search@1.1.0",
        "tools/search@1.0.0",
        False,
        False,
    )
    (agent,) = one.agents
    assert (agent.agent, agent.version, agent.calls, agent.broken) == ("writer", "1.0.0", 2, ())


@pytest.mark.parametrize(
    ("schemas", "schema_fault", "call_fault"),
    [
        (
            {"input": "{type: object, required: [text], properties: {text: {type: string}}}"},
            "input query: was removed or renamed",
            f"breaks 2 recorded calls of agents/writer@1.0.0: input query: is not known any more ({RECORDING}:3)",
        ),
        (
            {"input": "{type: object, required: [query], properties: {query: {type: string, maxLength: 5}}}"},
            "input query: maxLength changed from nothing to 5",
            f"breaks 1 recorded call of agents/writer@1.0.0: input query: is longer than 5 characters ({RECORDING}:3)",
        ),
        (
            {"output": "{type: object, required: [found], properties: {found: {type: array}}}"},
            "output hits: was removed or renamed",
            f"breaks 1 recorded call of agents/writer@1.0.0: output hits: does not come any more ({RECORDING}:3)",
        ),
        (
            {"params": "{type: object, properties: {limit: {type: integer, maximum: 3}}}"},
            "params limit: maximum changed from 10 to 3",
            f"breaks the pin of agents/writer@1.0.0: params limit: is greater than the maximum of 3 ({AGENT})",
        ),
    ],
)
def test_what_a_new_version_breaks_is_told_by_schema_and_by_recorded_call(
    changed: Make, schemas: dict[str, str], schema_fault: str, call_fault: str
) -> None:
    tools, faults = found(changed("1.1.0", **schemas))
    assert [tool.is_breaking for tool in tools] == [True]
    assert any(f"breaks tools/search@1.0.0: {schema_fault} (make it 2.0.0, or keep" in fault for fault in faults)
    assert any(call_fault in fault for fault in faults), faults
    assert all(fault.startswith(f"{OLD.replace('1.0.0', '1.1.0')}:") for fault in faults)
    assert all(not fault.startswith(f"{OLD.replace('1.0.0', '1.1.0')}:1:1:") for fault in faults)


def test_params_that_are_new_break_nobody_unless_they_must_be_set(tmp_path: Path, files: dict[str, str]) -> None:
    old = files[OLD].replace(f"  params: {{schema: {PARAMS}}}\n", "")
    bare = files[AGENT].replace("{ref: tools/search@1.0.0, params: {limit: 5}}", "tools/search@1.0.0")
    made = project({**files, OLD: old, AGENT: bare}, tmp_path / "project")
    code = files[OLD.replace(".yaml", "/tool.py")]
    made.branch("side")
    for version, more in (("1.0.1", "additionalProperties: false"), ("1.0.2", "required: [limit]")):
        new = old.replace("version: 1.0.0", f"version: {version}")
        new += f"  params: {{schema: {{type: object, properties: {{limit: {{type: integer}}}}, {more}}}}}\n"
        path = OLD.replace("1.0.0", version)
        made.commit({path: new, path.replace(".yaml", "/tool.py"): code})
    tools, _ = found(made)
    told = {
        (tool.added[-5:], tool.against[-5:]): [(one.part, one.place, one.what) for one in tool.breaks] for tool in tools
    }
    assert told == {
        ("1.0.1", "1.0.0"): [],
        ("1.0.2", "1.0.0"): [("params", "limit", "is now required")],
        ("1.0.2", "1.0.1"): [("params", "limit", "is now required")],
    }
    assert [[one.what for one in tool.agents[0].broken] for tool in tools[:2]] == [
        [],
        ['"limit" is a required property'],
    ]


BROKEN = {"input": "{type: object, required: [text], properties: {text: {type: string}}}"}


@pytest.mark.parametrize(
    ("released", "version", "announced"),
    [
        ("1.0.0", "2.0.0", True),
        ("1.0.0", "1.0.1", False),
        ("0.1.0", "0.2.0", True),
        ("0.1.0", "0.1.1", False),
        ("0.1.0", "1.0.0", True),
        ("1.0.0-rc.1", "1.0.0", True),
        ("1.0.0", "2.0.0-rc.1", True),
    ],
)
def test_a_version_number_may_say_that_it_breaks(changed: Make, released: str, version: str, announced: bool) -> None:
    tools, faults = found(changed(version, released=released, **BROKEN))
    assert [(tool.announced, tool.is_breaking) for tool in tools] == [(announced, True)]
    assert (faults == []) == announced


def test_every_live_version_that_pins_an_older_one_is_judged(changed: Make, files: dict[str, str]) -> None:
    newer = files[AGENT].replace("version: 1.0.0", "version: 1.1.0")
    gone = files[AGENT].replace("version: 1.0.0", "version: 0.9.0")
    stages = "apiVersion: penstock.dev/v1\nkind: Stages\nmetadata: {name: writer}\nspec: {deprecated: [0.9.0]}\n"
    more = {
        AGENT.replace("1.0.0", "1.1.0"): newer,
        AGENT.replace("1.0.0", "0.9.0"): gone,
        "registry_repo/stages/writer.yaml": stages,
    }
    (one,), _ = found(changed("1.1.0", more=more, **BROKEN))
    assert [(agent.version, agent.calls, len(agent.broken)) for agent in one.agents] == [
        ("1.0.0", 2, 4),
        ("1.1.0", 0, 0),
    ]


def test_the_next_lower_version_is_judged_even_if_nobody_pins_it(changed: Make, files: dict[str, str]) -> None:
    more = {
        OLD.replace("1.0.0", "2.0.0"): files[OLD].replace("version: 1.0.0", "version: 2.0.0"),
        "registry_repo/tools/search/2.0.0/tool.py": "async def search(arguments, ctx): ...\n",
    }
    tools, faults = found(changed("2.1.0", more=more, **BROKEN))
    assert [(tool.against, tool.announced, len(tool.agents)) for tool in tools] == [
        ("tools/search@1.0.0", True, 1),
        ("tools/search@2.0.0", False, 0),
    ]
    assert len(faults) == 2
    assert all("breaks tools/search@2.0.0: input" in fault for fault in faults)
    assert "make it 3.0.0" in faults[0]


def test_a_recording_that_cannot_be_read_is_said(changed: Make) -> None:
    made = changed("1.1.0")
    made.git("checkout", "--quiet", "main")
    made.commit({RECORDING: (made.root / RECORDING).read_text() + "{broken\n[]\n"})
    made.git("checkout", "--quiet", "side")
    made.git("-c", "user.name=a", "-c", "user.email=a@example.org", "merge", "--quiet", "--no-edit", "main")
    (one,), faults = found(made)
    assert one.agents[0].unread == (f"{RECORDING}:6", f"{RECORDING}:7")
    assert (one.agents[0].calls, faults) == (2, [])


def test_what_cannot_be_judged_is_shown_and_refuses_nothing(changed: Make) -> None:
    unclear = "{type: object, required: [query], properties: {query: {type: string}}, not: {required: [x]}}"
    (one,), faults = found(changed("1.1.0", input=unclear))
    assert [(each.part, each.what, each.certain) for each in one.breaks] == [("input", "not changed", False)]
    assert (one.is_breaking, faults) == (False, [])


@pytest.mark.parametrize("schema", ["{type: 5}", "{properties: [a]}", "{required: query}", "{enum: 1}"])
def test_what_is_no_schema_is_told_as_that_alone(
    changed: Make, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = changed("1.1.0", input=schema, output=schema, params=schema)
    assert main(["--project", str(made.root), "impact", "--base", "main", "--json"]) == 0
    (tool,) = json.loads(capsys.readouterr().out)["tools"]
    assert (tool["breaks"], tool["agents"][0]["broken"]) == ([], [])
    assert main(["--project", str(made.root), "validate", "--base", "main"]) == 1
    said = capsys.readouterr().err
    assert "is no JSON Schema" in said
    assert "breaks" not in said


def test_impact_and_validate_tell_it(changed: Make, capsys: pytest.CaptureFixture[str]) -> None:
    made = changed("1.1.0", **BROKEN)
    assert main(["--project", str(made.root), "impact", "--base", "main"]) == 0
    said = capsys.readouterr().out
    assert "tool     tools/search@1.1.0 breaks tools/search@1.0.0\n" in said
    assert "           agents/writer@1.0.0: 2 of 2 recorded calls would break\n" in said
    assert f"             2 recorded calls: input query: is not known any more ({RECORDING}:3)\n" in said
    assert main(["--project", str(made.root), "validate", "--base", "main"]) == 1
    assert "breaks tools/search@1.0.0: input query: was removed or renamed" in capsys.readouterr().err
    assert main(["--project", str(made.root), "validate", "--base", "main", "--json"]) == 1
    (tool,) = json.loads(capsys.readouterr().out)["impact"]["tools"]
    assert (tool["added"], tool["breaking"], tool["announced"]) == ("tools/search@1.1.0", True, False)
    assert tool["agents"][0]["broken"][0] == {
        "path": RECORDING,
        "line": 3,
        "part": "input",
        "place": "",
        "what": '"text" is a required property',
    }


def test_a_major_version_is_shown_and_passes(changed: Make, capsys: pytest.CaptureFixture[str]) -> None:
    made = changed("2.0.0", **BROKEN)
    assert main(["--project", str(made.root), "validate", "--base", "main"]) == 0
    assert "tools/search@2.0.0 breaks tools/search@1.0.0 (its version says so)" in capsys.readouterr().out
