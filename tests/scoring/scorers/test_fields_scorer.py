"""fields: rules for values of the artifact."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.scoring.scorer import Score, ScorerFailed, find_scorer
from penstock.testing.example_trial import example_scored

Judge = Callable[..., Awaitable[Score]]
OUTPUT = {"total": 2, "cases": [{"id": "TC-1", "steps": ["a"]}, {"id": "TC-2", "steps": ["a", "b"]}], "note": None}


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"path": "$.total", "equals": 2}, True),
        ({"path": "$.total", "equals": 3}, False),
        ({"path": "$.note", "equals": None}, True),
        ({"path": "$.total", "equals": None}, False),
        ({"path": "$.missing", "equals": None}, False),
        ({"path": "$.missing", "equals": 1, "minItems": 0}, True),
        ({"path": "$.missing", "maxItems": 0}, True),
        ({"path": "$.cases[*].id", "maxItems": 0}, False),
        ({"path": "$.cases[*].id", "matches": "^TC-[0-9]$"}, True),
        ({"path": "$.cases[*].id", "matches": "1$"}, False),
        ({"path": "$.total", "matches": "2"}, False),
        ({"path": "$.cases[*]", "minItems": 2, "maxItems": 2}, True),
        ({"path": "$.cases[*]", "minItems": 3}, False),
        ({"path": "$.cases[*]", "maxItems": 1}, False),
        ({"path": "$.total", "minimum": 2, "maximum": 2}, True),
        ({"path": "$.total", "minimum": 2.5}, False),
        ({"path": "$.total", "maximum": 1}, False),
        ({"path": "$.cases[0].id", "minimum": 0}, False),
        ({"path": "$.cases[*].steps", "minLength": 1, "maxLength": 2}, True),
        ({"path": "$.cases[*].steps", "minLength": 2}, False),
        ({"path": "$.cases[0].id", "maxLength": 3}, False),
        ({"path": "$.total", "minLength": 1}, False),
        ({"path": "$.total", "oneOf": [1, 2]}, True),
        ({"path": "$.total", "oneOf": [True, "2"]}, False),
        ({"path": "$.total", "expectedPath": "$.sum"}, True),
        ({"path": "$.cases[*].id", "expectedPath": "$.sum"}, False),
    ],
)
async def test_predicates(judge: Judge, rule: dict[str, Any], verdict: bool) -> None:
    score = await judge("fields", example_scored(OUTPUT, expected={"sum": 2}), {"expect": [rule]})
    assert score.value is verdict
    assert bool(score.details) is not verdict


async def test_all_rules_count_and_each_unmet_one_is_told(judge: Judge) -> None:
    rules = [{"path": "$.total", "equals": 2}, {"path": "$.total", "equals": 3}, {"path": "$.cases[*].id", "equals": 1}]
    score = await judge("fields", example_scored(OUTPUT), {"expect": rules})
    assert score.value is False
    assert score.details["unmet"] == [
        "$.total is 2, 3 expected",
        '$.cases[*].id is "TC-1", 1 expected',
        '$.cases[*].id is "TC-2", 1 expected',
    ]


async def test_an_expectation_that_a_rule_reads_must_be_there(judge: Judge) -> None:
    with pytest.raises(ScorerFailed, match=r"case one: `expected` has nothing at \$\.sum"):
        await judge(
            "fields", example_scored(OUTPUT, expected={}), {"expect": [{"path": "$.total", "expectedPath": "$.sum"}]}
        )


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"expect": []},
        {"expect": [{"path": "$.total"}]},
        {"expect": [{"path": "total", "equals": 1}]},
        {"expect": [{"path": "$.total", "matches": "(?<=a)b"}]},
        {"expect": [{"path": "$.total", "equal": 1}]},
        {"expect": [{"path": "$.total", "minItems": -1}]},
    ],
)
def test_rules_that_ask_nothing_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_scorer("fields").parameters.model_validate(params)
