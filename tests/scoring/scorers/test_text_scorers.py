"""equals, contains, regex, numeric: the rules that look at the output alone."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.scoring.scorer import Score, ScorerFailed, find_scorer
from penstock.scoring.scorers.equals import equals
from penstock.testing.example_trial import example_scored

Judge = Callable[..., Awaitable[Score]]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)

CASES: list[tuple[str, Any, dict[str, Any], Any, bool]] = [
    # scorer, output, parameters, the case's expected, verdict
    ("equals", {"a": 1, "b": 2.0}, {}, {"b": 2, "a": 1.0}, True),
    ("equals", 1, {}, True, False),
    ("equals", None, {}, None, True),
    ("equals", {"a": {"b": "x"}}, {"path": "$.a.b"}, "x", True),
    ("equals", {"a": {}}, {"path": "$.a.b"}, "x", False),
    ("equals", [{"id": 1}, {"id": 2}], {"path": "$[*].id"}, [1, 2], True),
    ("equals", [{"id": 2}, {"id": 1}], {"path": "$[*].id"}, [1, 2], False),
    ("equals", "x", {"expectedPath": "$.word"}, {"word": "x"}, True),
    ("equals", "x", {"expected": "x"}, "something else", True),
    ("equals", " Two  words\n", {"ignoreSpace": True, "ignoreCase": True}, "two words", True),
    ("equals", " Two  words\n", {"ignoreSpace": True}, "two words", False),
    ("equals", {"K": ["A"]}, {"ignoreCase": True}, {"k": ["a"]}, False),
    ("equals", {"k": ["A"]}, {"ignoreCase": True}, {"k": ["a"]}, True),
    ("contains", "one two three", {}, ["one", "three"], True),
    ("contains", "one two three", {}, ["one", "four"], False),
    ("contains", "one two three", {"match": "any"}, ["one", "four"], True),
    ("contains", "one two three", {"match": "any"}, ["four"], False),
    ("contains", "one two three", {"match": "none"}, ["four"], True),
    ("contains", "one two three", {"match": "none"}, ["four", "one"], False),
    ("contains", "ONE", {"ignoreCase": True}, "one", True),
    ("contains", "ONE", {}, "one", False),
    ("contains", [1, {"a": 1.0}], {}, [{"a": 1}], True),
    ("contains", [1], {}, [True], False),
    ("contains", [1], {"match": "none"}, [True, 1], False),
    ("contains", {"ids": [{"id": 1}, {"id": 2}]}, {"path": "$.ids[*].id"}, 2, True),
    ("contains", {"a": "one"}, {}, "one", False),
    ("contains", 5, {}, "5", False),
    ("contains", {}, {"path": "$.text"}, "one", False),
    ("regex", "TC-001 and more", {"pattern": "^TC-[0-9]{3}"}, None, True),
    ("regex", "TC-001 and more", {"pattern": "TC-[0-9]{3}", "match": "full"}, None, False),
    ("regex", "TC-001", {"pattern": "TC-[0-9]{3}|x", "match": "full"}, None, True),
    ("regex", "TC-001\n", {"pattern": "TC-[0-9]{3}", "match": "full"}, None, False),
    ("regex", "tc", {"pattern": "(?i)TC"}, None, True),
    ("regex", "no secret", {"pattern": "[0-9]+", "match": "absent"}, None, True),
    ("regex", "a 1", {"pattern": "[0-9]+", "match": "absent"}, None, False),
    ("regex", [{"id": "T1"}, {"id": "x"}], {"pattern": "^T", "path": "$[*].id"}, None, False),
    ("regex", [{"id": "T1"}, {"id": "T2"}], {"pattern": "^T", "path": "$[*].id"}, None, True),
    ("regex", [], {"pattern": "^T", "path": "$[*].id"}, None, False),
    ("regex", {"a": 1}, {"pattern": "1", "path": "$.a"}, None, False),
    ("regex", {}, {"pattern": "1", "path": "$.a", "match": "absent"}, None, False),
    ("regex", 1, {"pattern": "1", "match": "absent"}, None, False),
    ("regex", "abc", {"expectedPath": "$.p"}, {"p": "b"}, True),
    ("numeric", 10, {}, 10.0, True),
    ("numeric", 10.4, {"absolute": 0.5}, 10, True),
    ("numeric", 10.6, {"absolute": 0.5}, 10, False),
    ("numeric", -105, {"relative": 0.05}, -100, True),
    ("numeric", -106, {"relative": 0.05}, -100, False),
    ("numeric", 100.9, {"relative": 0.001, "absolute": 1}, 100, True),
    ("numeric", {"sum": 3}, {"path": "$.sum", "expected": 3}, None, True),
    ("numeric", True, {}, 1, False),
    ("numeric", "10", {}, 10, False),
    ("numeric", " 1,234.5 ", {"inText": "whole"}, 1234.5, True),
    ("numeric", "about 10", {"inText": "whole"}, 10, False),
    ("numeric", "first 3, then 1e2.", {"inText": "last"}, 100, True),
    ("numeric", "none", {"inText": "last"}, 0, False),
    ("numeric", None, {}, 0, False),
    ("numeric", {}, {"path": "$.sum"}, 0, False),
]


@pytest.mark.parametrize(("name", "output", "params", "expected", "verdict"), CASES)
async def test_verdicts(
    judge: Judge, name: str, output: Any, params: dict[str, Any], expected: Any, verdict: bool
) -> None:
    score = await judge(name, example_scored(output, expected=expected), params)
    assert score.value is verdict
    assert bool(score.reason) is not verdict, "a no says why, a yes needs no words"


@pytest.mark.parametrize("name", ["equals", "contains", "regex", "numeric"])
async def test_a_case_without_expectation_is_named(judge: Judge, name: str) -> None:
    with pytest.raises(ScorerFailed, match="case one: has no `expected`"):
        await judge(name, example_scored("x"))
    with pytest.raises(ScorerFailed, match=r"case one: `expected` has nothing at \$\.word"):
        await judge(name, example_scored("x", expected={}), {"expectedPath": "$.word"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("contains", []),
        ("contains", [1]),
        ("contains", {"a": 1}),
        ("regex", 1),
        ("regex", "(?=a)"),
        ("regex", "a)(b"),
        ("regex", "x" * 1001),
        ("numeric", "ten"),
        ("numeric", True),
        ("numeric", None),
    ],
)
async def test_an_expectation_that_says_nothing_is_no_score(judge: Judge, name: str, expected: Any) -> None:
    with pytest.raises(ScorerFailed, match="case one"):
        await judge(name, example_scored("x", expected=expected))


async def test_texts_beyond_the_bound_are_no_score(judge: Judge) -> None:
    with pytest.raises(ScorerFailed, match="100001 characters"):
        await judge("contains", example_scored("x" * 100_001, expected="x"))
    with pytest.raises(ScorerFailed, match="selects more than 10000"):
        await judge("equals", example_scored(list(range(10_001)), expected=1), {"path": "$[*]"})


async def test_a_pattern_that_would_backtrack_is_judged_at_once(judge: Judge) -> None:
    score = await judge("regex", example_scored("a" * 50_000 + "!"), {"pattern": "^(a+)+$"})
    assert score.value is False


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("equals", {"path": "a.b"}),
        ("equals", {"path": "$..a..b..c"}),
        ("equals", {"expectedpath": "$"}),
        ("equals", {"ignoreCase": "yes"}),
        ("contains", {"match": "some"}),
        ("regex", {"pattern": "(a)\\1"}),
        ("regex", {"pattern": ""}),
        ("numeric", {"path": "$[*]"}),
        ("numeric", {"absolute": -1}),
        ("numeric", {"expected": "1"}),
    ],
)
def test_parameters_that_cannot_be_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_scorer(name).parameters.model_validate(params)


@given(JSON, JSON)
def test_equals_is_equality(one: Any, other: Any) -> None:
    def verdict(output: Any, expected: Any) -> Any:
        score = equals(example_scored(output, expected={"value": expected}), expected_path="$.value")
        assert isinstance(score, Score)
        return score.value

    assert verdict(one, one) is True
    assert verdict(one, other) is verdict(other, one)
