import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scaffold.reference import reference_root

ROOT = reference_root()


def cases(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ROOT / f"datasets/{name}/cases.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize(("name", "least"), [("requirements", 400), ("requirement-test-cases", 30)])
def test_a_dataset_is_large_enough_and_each_case_once(name: str, least: int) -> None:
    found = cases(name)
    assert len(found) >= least
    assert len({case["id"] for case in found}) == len(found)
    assert len({json.dumps(case["input"], sort_keys=True) for case in found}) == len(found)


@pytest.mark.parametrize(
    ("name", "agent"), [("requirements", "testcase-generator"), ("requirement-test-cases", "testplan-generator")]
)
def test_each_case_is_an_input_of_the_dataset_and_of_every_version(name: str, agent: str) -> None:
    registry = load_registry(TreeSource(ROOT), default_runtime="langgraph")
    schemas = [registry.datasets[name].spec.schema_]
    schemas += [registry.agent(agent, version).spec.input.schema_ for version in registry.versions(agent)]
    for schema in schemas:
        validator = Draft202012Validator(schema)
        assert [case["id"] for case in cases(name) if not validator.is_valid(case["input"])] == []


def test_requirements_are_plain_single_sentences() -> None:
    for case in cases("requirements"):
        text = case["input"]["requirement"]
        assert text == text.strip()
        assert text.endswith((".", "!", "?")), text
        assert not re.search(r"\*\*|`|\]\(|\n|  ", text), text
        assert text[0].isupper() or text[0] in "0123456789<>=", text


def test_no_secret_and_no_person_is_in_them() -> None:
    text = (ROOT / "datasets/requirements/cases.jsonl").read_text("utf-8")
    assert not re.search(r"[\w.]+@[\w-]+\.\w+", text.replace("AGENT@V", ""))
    assert not re.search(r"/(?:home|root|work|Users)/", text)
