"""Judges one output by one scorer, as suites call it."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from penstock.scoring.scorer import Score, Scored, find_scorer

Judge = Callable[..., Awaitable[Score]]


@pytest.fixture
def judge() -> Judge:
    """`await judge(name, scored, camelCase parameters)`: parameters are checked as a suite's are."""

    async def judged(name: str, scored: Scored, params: dict[str, Any] | None = None) -> Score:
        scorer = find_scorer(name)
        checked = scorer.parameters.model_validate(params or {})
        given = {key: getattr(checked, key) for key in type(checked).model_fields}
        returned = scorer(scored, **given)
        said: Any = await returned if inspect.isawaitable(returned) else returned
        return said if isinstance(said, Score) else Score(said)

    return judged
