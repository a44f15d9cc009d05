import time
from typing import Any

import pytest

from penstock.contracts.suite import OutputExpectation
from penstock.gates.output_expectation import expectation_faults, output_faults

OUTPUT = {"testCases": [{"id": "TC-1", "title": "Accepts 10"}, {"id": "TC-2", "title": "Refuses 11"}], "count": 2}


def expect(**fields: Any) -> OutputExpectation:
    return OutputExpectation.model_validate(fields)


@pytest.mark.parametrize(
    "expected",
    [
        {"path": "$.testCases[*].id", "matches": r"^TC-\d+$"},
        {"path": "$.testCases", "minItems": 1},
        {"path": "$.testCases[*]", "minItems": 2, "maxItems": 2},
        {"path": "$.count", "equals": 2},
        {"path": "$.count", "equals": 2.0},
        {"path": "$.error", "maxItems": 0},
        {"path": "$.testCases[?@.id == 'TC-2'].title", "equals": "Refuses 11"},
    ],
)
def test_met(expected: dict[str, Any]) -> None:
    assert expectation_faults(expect(**expected)) == []
    assert output_faults([expect(**expected)], OUTPUT) == []


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ({"path": "$.testCases[*].id", "matches": "^TC-1$"}, "is \"TC-2\", which does not contain '^TC-1$'"),
        ({"path": "$.count", "matches": "2"}, "is 2, which does not contain"),
        ({"path": "$.count", "equals": True}, "is 2, true expected"),
        ({"path": "$.count", "equals": None}, "is 2, null expected"),
        ({"path": "$.titles", "equals": "x"}, "selects 0 values, at least 1 expected"),
        ({"path": "$.testCases[*]", "minItems": 3}, "selects 2 values, at least 3 expected"),
        ({"path": "$.testCases[*]", "maxItems": 1}, "selects 2 values, at most 1 expected"),
    ],
)
def test_not_met(expected: dict[str, Any], sentence: str) -> None:
    faults = output_faults([expect(**expected)], OUTPUT)
    assert faults
    assert sentence in faults[0]


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        ({"path": "testCases", "minItems": 1}, "is no JSON path"),
        ({"path": "$.a[?match(@.b, '(a+)+$')]", "minItems": 1}, "is no JSON path"),
        ({"path": "$..a..b..c", "minItems": 1}, "is no JSON path"),
        ({"path": "$.a"}, "nothing is expected"),
        ({"path": "$.a", "matches": "(?=look)ahead"}, "is no linear-time regular expression"),
        ({"path": "$.a", "matches": "("}, "is no linear-time regular expression"),
        ({"path": "$.a", "matches": "a" * 1_001}, "longer than"),
    ],
)
def test_a_broken_expectation_is_named(expected: dict[str, Any], sentence: str) -> None:
    faults = expectation_faults(expect(**expected))
    assert faults
    assert sentence in faults[0]


def test_a_catastrophic_pattern_ends_at_once() -> None:
    started = time.monotonic()
    faults = output_faults([expect(path="$.text", matches="^(a+)+$")], {"text": "a" * 50_000 + "!"})
    assert len(faults) == 1
    assert time.monotonic() - started < 1


def test_long_values_are_shown_short() -> None:
    [fault] = output_faults([expect(path="$.text", equals="x")], {"text": "y" * 5_000})
    assert len(fault) < 500
