from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.scoring.diff.events import aligned_steps, count_ops, sequences_differ
from penstock.scoring.trial import Trial

STEPS = st.lists(
    st.sampled_from(["llm.finished:m", "tool.started:a", "tool.finished:a", "tool.finished:b", "run.finished"]),
    max_size=12,
)


def ops(before: list[str], after: list[str]) -> list[str]:
    return [f"{change.op} {change.step}" for change in aligned_steps(before, after) if change.op != "equal"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("llm tool.finished:a llm", "llm tool.finished:a llm", (0, 0, 0)),
        ("llm tool.finished:a llm", "llm llm", (0, 1, 0)),
        ("llm llm", "llm tool.finished:b llm", (0, 0, 1)),
        ("llm x y end", "llm y x end", (1, 0, 0)),
        ("llm tool.finished:a llm end", "llm tool.finished:b llm end", (0, 1, 1)),
        ("x x end", "x end x x", (1, 0, 1)),
        ("", "", (0, 0, 0)),
    ],
)
def test_steps_are_aligned(before: str, after: str, expected: tuple[int, int, int]) -> None:
    counted = count_ops(aligned_steps(before.split(), after.split()))
    assert (counted["moved"], counted["missing"], counted["added"]) == expected


def test_what_is_missing_stands_where_production_has_it() -> None:
    assert ops(["llm", "a", "b", "end"], ["llm", "b", "c", "end"]) == ["missing a", "added c"]


def test_calls_in_flight_together_have_no_order() -> None:
    before = ["llm", "tool.started:a", "tool.finished:a", "tool.started:b", "tool.finished:b", "llm"]
    after = ["llm", "tool.started:b", "tool.finished:b", "tool.started:a", "tool.finished:a", "llm"]
    assert ops(before, after) == []
    across = ["llm", "tool.started:a", "tool.finished:a", "llm", "tool.started:b", "tool.finished:b"]
    assert ops(before, across) != []


def test_a_call_that_moved_to_another_turn_moved(trial: Callable[..., Trial]) -> None:
    before = ["llm", "tool.finished:a", "tool.finished:b", "llm", "llm", "end"]
    after = ["llm", "tool.finished:a", "llm", "tool.finished:b", "llm", "end"]
    found = aligned_steps(before, after)
    assert count_ops(found) == {"moved": 1, "missing": 0, "added": 0}
    assert sequences_differ(trial(steps=tuple(before)), trial(steps=tuple(after)))
    assert not sequences_differ(trial(steps=tuple(before)), trial(steps=tuple(before)))


@settings(deadline=None)
@given(STEPS, STEPS)
def test_every_step_of_both_sides_is_told_once(before: list[str], after: list[str]) -> None:
    found = aligned_steps(before, after)
    both = [change.step for change in found if change.op in ("equal", "moved")]
    assert Counter(both) + Counter(c.step for c in found if c.op == "missing") == Counter(before)
    assert Counter(both) + Counter(c.step for c in found if c.op == "added") == Counter(after)


@settings(deadline=None)
@given(STEPS)
def test_a_sequence_is_equal_to_itself_and_missing_turned_around_is_added(steps: list[str]) -> None:
    assert ops(steps, steps) == []
    assert count_ops(aligned_steps(steps, []))["missing"] == len(steps)
    assert count_ops(aligned_steps([], steps))["added"] == len(steps)
