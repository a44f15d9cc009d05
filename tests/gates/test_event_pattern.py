import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.sequence import Step
from penstock.gates.event_pattern import first_mismatch, pattern_faults

RUN = [
    Step("run.started"),
    Step("llm.finished", "standard"),
    Step("tool.started", "search"),
    Step("tool.finished", "search"),
    Step("llm.finished", "standard"),
    Step("run.finished"),
]


@pytest.mark.parametrize(
    "pattern",
    [
        ["*"],
        ["run.started", "*", "run.finished"],
        ["*", "tool.started:search", "tool.finished:search", "*"],
        ["run.started", "llm.finished:standard", "*", "llm.finished", "run.finished"],
        ["*", "tool.started", "*", "run.finished"],
        ["run.started", "*", "*", "run.finished", "*"],
        [str(step) for step in RUN],
    ],
)
def test_a_pattern_that_fits(pattern: list[str]) -> None:
    assert first_mismatch(pattern, RUN) is None


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        (
            ["run.started", "run.finished"],
            "event 2 is llm.finished:standard where the pattern has run.finished (item 2)",
        ),
        (["run.started", "*", "tool.finished:other", "*"], "event"),
        (["run.started", "*", "run.finished", "run.finished"], "the end"),
        (["run.started", "*", "tool.failed", "*"], "where the pattern has tool.failed (item 3)"),
        (["*", "run.started"], "where the pattern has the end"),
    ],
)
def test_a_pattern_that_does_not_fit_says_where(pattern: list[str], sentence: str) -> None:
    mismatch = first_mismatch(pattern, RUN)
    assert mismatch is not None
    assert sentence in mismatch


@given(
    pattern=st.lists(st.sampled_from(["a", "b", "*"]), max_size=6),
    events=st.lists(st.sampled_from(["a", "b"]), max_size=8),
)
def test_it_agrees_with_a_regular_expression(pattern: list[str], events: list[str]) -> None:
    expression = "".join({"a": "a", "b": "b", "*": ".*"}[item] for item in pattern)
    fits = re.fullmatch(expression, "".join(events)) is not None
    assert (first_mismatch(pattern, [Step(event) for event in events]) is None) is fits


def test_many_wildcards_stay_quick() -> None:
    pattern = [*itertools.chain.from_iterable(itertools.repeat(["*", "a"], 200)), "b"]
    assert first_mismatch(pattern, [Step("a")] * 2_000) is not None


def test_an_unknown_type_is_named_with_the_known_ones() -> None:
    faults = pattern_faults(["run.started", "tool.begun:search", "*"])
    assert len(faults) == 1
    assert "'tool.begun:search' names no event type" in faults[0]
    assert "tool.started" in faults[0]
