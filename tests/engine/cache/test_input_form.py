"""Which inputs may mean the same at all."""

from typing import Any

import pytest

from penstock.engine.cache.input_form import LONGEST, InputForm


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("refund order 123", "refund order 124"),
        ("send 5 from Ada to Bob", "send 5 from Bob to Ada"),
        ({"text": "hello", "express": True}, {"text": "hello", "express": False}),
        ({"text": "hello"}, {"note": "hello"}),
        ({"text": "hello", "count": 1}, {"text": "hello", "count": 2}),
        (["a", "b"], ["a", "b", "c"]),
        ({"phone": "+49 30 1"}, {"phone": "+49 30 2"}),
    ],
)
def test_these_never_do(one: Any, other: Any) -> None:
    mine, yours = InputForm.of(one), InputForm.of(other)
    assert mine.skeleton != yours.skeleton or not mine.may_mean(yours)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "How can I reset my password?"),
        ("Hello there", "hello there"),
        ({"b": "x", "a": "order 12 please"}, {"a": "please, order 12 now", "b": "y"}),
    ],
)
def test_these_may(one: Any, other: Any) -> None:
    assert InputForm.of(one).may_mean(InputForm.of(other))


def test_what_has_no_text_or_too_long_a_one_is_compared_for_equality_alone() -> None:
    assert not InputForm.of({"count": 1, "code": "12-3", "none": None}).is_comparable
    assert not InputForm.of("a" * (LONGEST + 1)).is_comparable
    assert InputForm.of("a" * LONGEST).is_comparable
