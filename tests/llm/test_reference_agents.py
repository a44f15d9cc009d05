"""The reference agents on the scripted model: every case of their datasets gives output that fits their schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from penstock.contracts.agent import Pointer
from penstock.contracts.canonical import canonical
from penstock.contracts.release import Release
from penstock.contracts.suite import OutputExpectation
from penstock.gates.output_expectation import output_faults
from penstock.llm.scripted.answer import ScriptedAnswer, answer
from penstock.registry.load import Registry, load_registry, require_valid
from penstock.registry.prompt_text import render
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource

ROOT = Path(__file__).parents[2]
FOUND = '{"hits":[{"id":"A3","score":1.0,"text":"A released version never changes."}]}'


@pytest.fixture(scope="module")
def registry() -> Registry:
    loaded = load_registry(TreeSource(ROOT))
    require_valid(loaded)
    return loaded


def run(registry: Registry, name: str, version: str, given: Any) -> tuple[dict[str, Any], int]:
    """The output and the number of look-ups of one run, without an engine."""
    resolved = resolve(registry, name, version)
    release: Release = resolved.release
    spec, declared = release.agent.spec, release.prompt.spec.variables
    values = {key: variable.default for key, variable in declared.items() if variable.has_default}
    for key, value in spec.prompt_variables.items():
        if not isinstance(value, Pointer):
            values[key] = value
        elif value.from_[1:] in given:
            values[key] = given[value.from_[1:]]
    system = render(resolved.blobs[release.prompt.body].decode(), values)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": canonical(given).decode()}]
    tools = [_function(tool.name, tool.spec.input.schema_) for tool in release.tools]
    shape = {"type": "json_schema", "json_schema": {"name": name, "schema": spec.output.schema_}}
    look_ups = 0
    while (told := answer(messages, tools, shape)).calls:
        messages += list(_looked_up(told, look_ups))
        look_ups += 1
    output = json.loads(told.content or "")
    jsonschema_rs.Draft202012Validator(spec.output.schema_).validate(output)
    return output, look_ups


def _function(name: str, schema: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def _looked_up(told: ScriptedAnswer, turn: int) -> Iterator[dict[str, Any]]:
    function = {"name": told.calls[0].name, "arguments": told.calls[0].arguments}
    yield {"role": "assistant", "content": None, "tool_calls": [{"id": f"c{turn}", "function": function}]}
    yield {"role": "tool", "tool_call_id": f"c{turn}", "content": FOUND}


def cases(dataset: str) -> list[dict[str, Any]]:
    lines = (ROOT / "datasets" / dataset / "cases.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["input"] for line in lines]


def test_newer_generator_is_better_on_real_requirements_and_never_worse(registry: Registry) -> None:
    better = 0
    for given in cases("requirements"):
        old, old_look_ups = run(registry, "testcase-generator", "1.0.0", given)
        new, new_look_ups = run(registry, "testcase-generator", "1.1.0", given)
        assert len(new["testCases"]) >= len(old["testCases"])
        assert (old_look_ups, new_look_ups) == (1, 2)
        assert new["relatedRequirements"] == ["A3"]
        better += len({case["type"] for case in new["testCases"]}) > 1
    assert better >= 100


def test_planner_orders_every_case_once_and_newer_one_names_risks(registry: Registry) -> None:
    for given in cases("requirement-test-cases"):
        old, old_look_ups = run(registry, "testplan-generator", "1.0.0", given)
        new, new_look_ups = run(registry, "testplan-generator", "1.1.0", given)
        ids = sorted(case["id"] for case in given["testCases"])
        assert sorted(old["plan"]["order"]) == sorted(new["plan"]["order"]) == ids
        assert (old_look_ups, new_look_ups) == (0, 1)
        assert new["plan"]["risks"] == ["A3: A released version never changes."]


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
@pytest.mark.parametrize("name", ["testcase-generator", "testplan-generator"])
def test_outputs_meet_the_contract_suite(registry: Registry, name: str, version: str) -> None:
    suite = registry.suites[name]
    assert len(suite.spec.cases) >= 3
    for case in suite.spec.cases:
        output, _ = run(registry, name, version, case.input)
        expected: list[OutputExpectation] = case.expect.output
        assert output_faults(expected, output) == [], case.name
