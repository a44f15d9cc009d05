"""What stands beside production: aligned calls, what the filter calls a case, allowances, figures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.reporting import figures
from penstock.reporting.allowance import Allowance
from penstock.reporting.evaluation import CaseRow
from penstock.reporting.evaluation_view import case_states
from penstock.reporting.side import Call
from penstock.reporting.trajectory import MOST_CALLS, aligned_calls

KINDS = {"right": "assertion", "quality": "score", "cost": "measure", "tone": "label"}


def calls(text: str) -> list[Call]:
    """`a1 b2` = tool a with the argument 1, then tool b with 2."""
    return [Call(name=word[0], arguments=word[1:]) for word in text.split()]


@pytest.mark.parametrize(
    ("before", "after", "ops"),
    [
        ("a1 b2", "a1 b2", ["equal", "equal"]),
        ("a1 b2", "a1 b3", ["equal", "changed"]),
        ("a1 b2 c3", "a1 c3", ["equal", "missing", "equal"]),
        ("a1", "b1 a1", ["added", "equal"]),
        ("a1", "b1", ["missing", "added"]),
        ("", "", []),
    ],
)
def test_calls_of_one_tool_stand_beside_each_other(before: str, after: str, ops: list[str]) -> None:
    assert [row.op for row in aligned_calls(calls(before), calls(after))] == ops


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_both_sequences_keep_their_order(before: list[str], after: list[str]) -> None:
    rows = aligned_calls([Call(name=name) for name in before], [Call(name=name) for name in after])
    assert [row.before.name for row in rows if row.before] == before[:MOST_CALLS]
    assert [row.after.name for row in rows if row.after] == after[:MOST_CALLS]


def case(candidate: dict[str, Any], baseline: dict[str, Any] | None, status: str = "finished") -> CaseRow:
    return CaseRow(id="1", status=status, candidate=candidate, baseline=baseline)


@pytest.mark.parametrize(
    ("row", "states"),
    [
        (case({"right": 1.0}, {"right": 1.0}), ("same",)),
        (case({"right": 0.0}, {"right": 1.0}), ("worse", "failing")),
        (case({"right": 1.0}, {"right": 0.0}), ("better",)),
        (case({"right": True, "quality": 0.2}, {"right": False, "quality": 0.9}), ("mixed",)),
        (case({"quality": 0.80}, {"quality": 0.84}), ("same",)),
        (case({"quality": 0.70}, {"quality": 0.84}), ("worse",)),
        (case({"cost": 9.0, "tone": "curt"}, {"cost": 1.0, "tone": "warm"}), ("same",)),
        (case({"right": 0.0}, None), ("judged", "failing")),
        (case({}, {"right": 1.0}), ("errored",)),
        (case({"right": 0.0}, {"right": 0.0}, "failed"), ("same", "failing", "unfinished")),
        (case({}, None, "errored"), ("errored", "unfinished")),
    ],
)
def test_a_case_is_called_by_what_became_of_it(row: CaseRow, states: tuple[str, ...]) -> None:
    assert case_states(row, KINDS, flipped=False) == states


def test_a_flip_is_found_as_one() -> None:
    row = case({"right": 0.0}, {"right": 1.0})
    assert case_states(row, KINDS, flipped=True) == ("worse", "flipped", "failing")


def test_pieces_are_taken_until_the_bytes_are_gone() -> None:
    allowance = Allowance(10)
    fitted = allowance.fit("abcde", lambda item: item * 3)
    assert (fitted.pieces, fitted.left_out, allowance.left) == (("aaa", "bbb", "ccc"), 2, 1)


def test_what_is_too_long_has_a_short_form() -> None:
    fitted = Allowance(20).fit("abcdefgh", lambda item: item * 6, lambda item: item, for_short=8)
    assert fitted.pieces == ("aaaaaa", "bbbbbb", "c", "d", "e", "f", "g", "h")
    assert (fitted.brief, fitted.left_out) == (6, 0)


def test_bytes_are_counted_not_characters() -> None:
    assert Allowance(4).fit("äü", lambda item: item * 2).left_out == 1


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (figures.number(0.8421), "0.842"),
        (figures.number(0.00115), "0.0011"),
        (figures.number(12_345.6), "12,346"),
        (figures.number(-0.5), "−0.5"),
        (figures.number(float("nan")), "not a number"),
        (figures.number(float("-inf")), "−infinite"),
        (figures.number(None), "not known"),
        (figures.signed(0.0131), "+0.013"),
        (figures.signed(-0.0131), "−0.013"),
        (figures.signed(-0.0001), "0.000"),
        (figures.percent(0.125), "12.5 %"),
        (figures.usd(1.2345), "$1.23"),
        (figures.usd(0.0123), "$0.0123"),
        (figures.usd(0.00067), "$0.00067"),
        (figures.milliseconds(1_204.2), "1,204 ms"),
        (figures.milliseconds(61_000), "61.0 s"),
        (figures.ratio(1.037), "×1.04"),
        (figures.interval(0.1, None), "[0.1, ∞)"),
        (figures.interval(None, 0.1), ""),
        (figures.count(1, "case"), "1 case"),
        (figures.count(2_000, "case"), "2,000 cases"),
    ],
)
def test_numbers_are_written_for_people(written: str, shown: str) -> None:
    assert written == shown


def test_what_was_measured_is_told_flat() -> None:
    measured = {"cases": 200, "scorers": {"a": 0.9, "b": None}, "list": [1, 2], "ok": True}
    assert figures.pairs(measured) == [("cases", "200"), ("scorers a", "0.9"), ("list", "[1,2]"), ("ok", "yes")]
    assert figures.pairs(7) == [("", "7")]
    assert figures.pairs(None) == []
    assert figures.pairs({str(n): n for n in range(20)})[-1] == ("", "and 12 more")
