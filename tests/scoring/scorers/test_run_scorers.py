"""finished, policy, tool-success, cost, latency, tokens: what the run itself shows."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from penstock.scoring.scorer import BUILT_IN, Score, ScorerFailed, find_scorer
from penstock.scoring.trial import ToolCall, Trial
from penstock.testing.example_trial import example_failure, example_scored, example_trial

Judge = Callable[..., Awaitable[Score]]
GOOD, BAD = ToolCall("search", {}, {"hits": []}), ToolCall("write", {}, None, "too busy")
DENIED = example_trial("x", denied=("tools/ticket-create",))
DEAR = example_trial("x", cost_usd=0.25, duration_ms=1200.5, ttft_ms=80.0, prompt_tokens=30, completion_tokens=12)
FREE = example_trial("x", cost_usd=0.0)


@pytest.mark.parametrize(
    ("name", "trial", "params", "value"),
    [
        ("finished", example_trial("x"), {}, True),
        ("finished", example_failure("limit"), {}, False),
        ("policy", example_trial("x"), {}, True),
        ("policy", DENIED, {}, False),
        ("policy", example_failure("policy", denied=("models/fake",)), {}, False),
        ("policy", example_failure("limit"), {}, True),
        ("tool-success", example_trial(calls=[GOOD]), {}, True),
        ("tool-success", example_trial(calls=[GOOD, BAD]), {}, False),
        ("tool-success", example_trial(calls=[GOOD, BAD]), {"tools": ["search"]}, True),
        ("tool-success", example_trial(), {}, True),
        ("tool-success", example_trial(), {"minCalls": 1}, False),
        ("tool-success", example_trial(calls=[GOOD, GOOD]), {"minCalls": 2}, True),
        ("tool-success", example_trial(calls=[GOOD]), {"minCalls": 1, "tools": ["write"]}, False),
        ("cost", DEAR, {}, 0.25),
        ("cost", FREE, {}, 0.0),
        ("cost", example_failure("limit", cost_usd=0.5), {}, 0.5),
        ("latency", DEAR, {}, 1200.5),
        ("latency", DEAR, {"of": "first-token"}, 80.0),
        ("tokens", DEAR, {}, 42.0),
        ("tokens", DEAR, {"of": "prompt"}, 30.0),
        ("tokens", DEAR, {"of": "completion"}, 12.0),
    ],
)
async def test_values(judge: Judge, name: str, trial: Trial, params: dict[str, Any], value: Any) -> None:
    score = await judge(name, example_scored(trial=trial), params)
    assert score.value == value
    assert type(score.value) is type(value)
    if value is False:
        assert score.reason


async def test_what_is_not_known_is_not_nothing(judge: Judge) -> None:
    with pytest.raises(ScorerFailed, match="case one: what the run cost is unknown"):
        await judge("cost", example_scored("x"))
    with pytest.raises(ScorerFailed, match="case one: the run has no first token"):
        await judge("latency", example_scored("x"), {"of": "first-token"})


async def test_details_name_what_was_denied_and_what_failed(judge: Judge) -> None:
    assert (await judge("policy", example_scored(trial=DENIED))).details == {"denied": ["tools/ticket-create"]}
    score = await judge("tool-success", example_scored(trial=example_trial(calls=[BAD])))
    assert score.details == {"failed": [{"name": "write", "error": "too busy"}]}


@pytest.mark.parametrize(
    ("name", "params"), [("tool-success", {"tools": []}), ("latency", {"of": "x"}), ("cost", {"x": 1})]
)
def test_parameters_that_cannot_be_are_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        find_scorer(name).parameters.model_validate(params)


def test_every_built_in_scorer_is_found_by_its_name_and_says_what_it_does() -> None:
    for name in BUILT_IN:
        found = find_scorer(name)
        assert (found.name, bool(found.__doc__), found.revision) == (name, True, 1)


def test_identities_are_settled() -> None:
    # Scores are kept under these: one that changes by accident pays every judge again.
    identity = find_scorer("equals").identity(find_scorer("equals").parameters().model_dump(mode="json", by_alias=True))
    assert identity == "sha256:20480949ba7002eba1ad9404a00c08f18321d7a5a8b3fc3cf553968d94cffcfc"
