"""trajectory: four ways to match calls, four ways to look at their arguments."""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.scoring.scorer import Score, ScorerFailed, find_scorer
from penstock.scoring.scorers.call_match import ExpectedCall, Match, fitting, is_met, is_within
from penstock.scoring.trial import ToolCall
from penstock.testing.example_trial import example_scored, example_trial

Judge = Callable[..., Awaitable[Score]]
MATCHES: tuple[Match, ...] = get_args(Match)
A, B, C = ("search", {"q": "a", "n": 5}), ("write", {"id": 1}), ("search", {"q": "b", "n": 5})


def wanted(*calls: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "arguments": arguments} for name, arguments in calls]


@pytest.mark.parametrize(
    ("made", "expected", "strict", "unordered", "subset", "superset"),
    [
        ([A, B], wanted(A, B), True, True, True, True),
        ([B, A], wanted(A, B), False, True, True, True),
        ([A], wanted(A, B), False, False, True, False),
        ([A, B, C], wanted(A, B), False, False, False, True),
        ([A, C], wanted(A, B), False, False, False, False),
        ([A, A], wanted(A), False, False, False, True),
        ([A], wanted(A, A), False, False, True, False),
        ([], wanted(A), False, False, True, False),
    ],
)
async def test_matches(
    judge: Judge,
    made: Sequence[tuple[str, Any]],
    expected: list[Any],
    strict: bool,
    unordered: bool,
    subset: bool,
    superset: bool,
) -> None:
    scored = example_scored(trial=example_trial(calls=made), expected=expected)
    for match, verdict in zip(MATCHES, (strict, unordered, subset, superset), strict=True):
        score = await judge("trajectory", scored, {"match": match})
        assert score.value is verdict, match
        assert bool(score.reason) is not verdict


@pytest.mark.parametrize(
    ("arguments", "expected", "verdict"),
    [
        ("exact", {"q": "a", "n": 5}, True),
        ("exact", {"n": 5.0, "q": "a"}, True),
        ("exact", {"q": "a"}, False),
        ("ignore", {"q": "other"}, True),
        ("subset", {"q": "a"}, True),
        ("subset", {}, True),
        ("subset", {"q": "a", "more": 1}, False),
        ("subset", {"q": "b"}, False),
    ],
)
async def test_arguments(judge: Judge, arguments: str, expected: Any, verdict: bool) -> None:
    scored = example_scored(trial=example_trial(calls=[A]), expected=wanted(("search", expected)))
    for match in MATCHES:
        assert (await judge("trajectory", scored, {"match": match, "arguments": arguments})).value is verdict


async def test_an_expected_call_may_be_a_name(judge: Judge) -> None:
    scored = example_scored(trial=example_trial(calls=[A, B]), expected={"calls": ["search", {"name": "write"}]})
    assert (await judge("trajectory", scored, {"expectedPath": "$.calls"})).value is True
    assert (await judge("trajectory", scored, {"expected": ["write", "search"]})).value is False


async def test_no_call_may_be_what_is_expected(judge: Judge) -> None:
    for match in ("strict", "unordered", "subset"):
        quiet = example_scored(trial=example_trial(), expected=[])
        assert (await judge("trajectory", quiet, {"match": match})).value is True
        loud = example_scored(trial=example_trial(calls=[A]), expected=[])
        assert (await judge("trajectory", loud, {"match": match})).value is False
    with pytest.raises(ScorerFailed, match="which every run is"):
        await judge("trajectory", example_scored(trial=example_trial(), expected=[]), {"match": "superset"})


async def test_calls_that_failed_may_be_left_out(judge: Judge) -> None:
    calls = (ToolCall("search", {"q": "a"}, None, "too busy"), ToolCall("search", {"q": "a"}, {"hits": []}))
    scored = example_scored(trial=example_trial(calls=calls), expected=["search"])
    assert (await judge("trajectory", scored)).value is False
    assert (await judge("trajectory", scored, {"ignoreFailed": True})).value is True


async def test_the_best_pairing_counts_not_the_first(judge: Judge) -> None:
    # {"q": "a"} fits both calls, {"q": "a", "n": 5} the first alone
    expected = wanted(("search", {"q": "a"}), ("search", {"q": "a", "n": 5}))
    made = [("search", {"q": "a", "n": 5}), ("search", {"q": "a", "n": 6})]
    scored = example_scored(trial=example_trial(calls=made), expected=expected)
    assert (await judge("trajectory", scored, {"match": "unordered", "arguments": "subset"})).value is True


class Same:
    """own code in process: arguments are the same when they agree in `q` but for case"""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def call(self, file: str, function: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        self.asked.append((file, function, len(calls)))
        return [expected["q"].casefold() == actual["q"].casefold() for _, expected, actual in calls]


async def test_own_code_may_compare_arguments(judge: Judge) -> None:
    own = Same()
    expected = [*wanted(("search", {"q": "A"}), ("search", {"q": "B"})), "write"]
    scored = example_scored(trial=example_trial(calls=[A, B, C]), expected=expected, own=own)
    params = {"match": "unordered", "arguments": "own/letters"}
    assert (await judge("trajectory", scored, params)).value is True
    assert own.asked == [("letters", "same_arguments", 4)]
    assert (await judge("trajectory", scored, {"match": "unordered"})).value is False
    many = example_scored(trial=example_trial(calls=[A] * 101), expected=wanted(A) * 101, own=own)
    with pytest.raises(ScorerFailed, match="10201 pairs of calls are too many"):
        await judge("trajectory", many, params)
    other = example_scored(trial=example_trial(calls=[A, B, A]), expected=expected, own=own)
    assert (await judge("trajectory", other, params)).value is False


@pytest.mark.parametrize("expected", ["search", [5], [{"arguments": {}}], [{"name": "a", "argument": {}}], [""], None])
async def test_what_is_no_trajectory_is_no_score(judge: Judge, expected: Any) -> None:
    with pytest.raises(ScorerFailed, match="case one"):
        await judge("trajectory", example_scored(trial=example_trial(), expected=expected))


async def test_too_many_calls_are_no_score(judge: Judge) -> None:
    with pytest.raises(ScorerFailed, match="1000"):
        await judge("trajectory", example_scored(trial=example_trial(calls=[A] * 1_001), expected=["search"]))


async def test_a_thousand_alike_calls_are_matched(judge: Judge) -> None:
    scored = example_scored(trial=example_trial(calls=[A] * 1_000), expected=["search"] * 1_000)
    assert (await judge("trajectory", scored, {"match": "unordered"})).value is True


@pytest.mark.parametrize("params", [{"match": "some"}, {"arguments": "custom"}, {"expected": [5]}, {"expected": "a"}])
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_scorer("trajectory").parameters.model_validate(params)


ARGUMENTS = st.dictionaries(st.sampled_from("xy"), st.integers(0, 1), max_size=2)
CALLS = st.lists(st.tuples(st.sampled_from("ab"), ARGUMENTS), max_size=5)


def verdict(match: Match, arguments: str, expected: Sequence[tuple[str, Any]], made: Sequence[tuple[str, Any]]) -> bool:
    asked = [ExpectedCall(name, given, says_arguments=True) for name, given in expected]
    calls = [ToolCall(name, given) for name, given in made]
    return is_met(match, fitting(asked, calls, arguments), len(calls))


@given(CALLS, CALLS, st.sampled_from(["exact", "ignore"]))
def test_subset_and_superset_are_mirrors(expected: Any, made: Any, arguments: str) -> None:
    assert verdict("subset", arguments, expected, made) is verdict("superset", arguments, made, expected)


@given(CALLS, CALLS, st.sampled_from(["exact", "ignore", "subset"]))
def test_strict_implies_unordered_and_that_both_others(expected: Any, made: Any, arguments: str) -> None:
    met = {match: verdict(match, arguments, expected, made) for match in MATCHES}
    assert met["unordered"] or not met["strict"]
    assert met["unordered"] is (met["subset"] and met["superset"])


@given(CALLS, CALLS, st.sampled_from(MATCHES))
def test_exact_implies_subset_and_that_ignore(expected: Any, made: Any, match: Match) -> None:
    exact, within, ignore = (verdict(match, mode, expected, made) for mode in ("exact", "subset", "ignore"))
    assert within or not exact
    assert ignore or not within


@given(CALLS, CALLS, st.sampled_from(["exact", "ignore", "subset"]), st.randoms(use_true_random=False))
def test_order_means_nothing_but_in_strict(expected: Any, made: Any, arguments: str, random: Any) -> None:
    shuffled = random.sample(made, len(made))
    for match in ("unordered", "subset", "superset"):
        assert verdict(match, arguments, expected, made) is verdict(match, arguments, expected, shuffled)


@given(CALLS, CALLS, st.sampled_from(["exact", "ignore", "subset"]))
def test_the_matching_is_what_trying_every_pairing_finds(expected: Any, made: Any, arguments: str) -> None:
    asked = [ExpectedCall(name, given, says_arguments=True) for name, given in expected]
    fits = fitting(asked, [ToolCall(name, given) for name, given in made], arguments)
    brute = len(expected) <= len(made) and any(
        all(other in fits[position] for position, other in enumerate(chosen))
        for chosen in itertools.permutations(range(len(made)), len(expected))
    )
    assert is_met("superset", fits, len(made)) is brute


def test_within_reaches_into_objects_and_not_into_lists() -> None:
    assert is_within({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3})
    assert not is_within({"a": [1]}, {"a": [1, 2]})
    assert not is_within({"a": {}}, {"a": 1})
    assert not is_within({"a": None}, {})
