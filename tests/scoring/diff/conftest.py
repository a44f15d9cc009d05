from collections.abc import Callable
from typing import Any

import pytest

from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.trial import ToolCall, Trial, TrialKey

FAILURE = {"code": "schema", "what": "the output breaks its schema", "where": "echo", "now": ""}


def make_trial(output: Any = "said", **fields: Any) -> Trial:
    """A finished trial of one model call, with these fields instead."""
    known: dict[str, Any] = {
        "key": TrialKey("sha256:r", "sha256:c", fields.pop("repeat", 0), "sha256:p"),
        "run_id": "run-1",
        "runtime": "direct",
        "status": "finished",
        "output": output,
        "failure": None,
        "steps": ("run.started", "llm.started:standard", "llm.finished:standard", "run.finished"),
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "cost_usd": 0.001,
        "model_calls": 1,
        "duration_ms": 100.0,
        "ttft_ms": 10.0,
        "at": "2026-11-20T10:00:00.000000Z",
    }
    if fields.get("status", "finished") != "finished":
        known.update(output=None, failure=FAILURE)
    return Trial(**{**known, **fields})


@pytest.fixture
def trial() -> Callable[..., Trial]:
    return make_trial


@pytest.fixture
def refused() -> Callable[..., ToolCall]:
    """A writing call that a shadow run did not make."""

    def make(arguments: Any) -> ToolCall:
        return ToolCall("store", arguments, None, "a shadow run changes nothing", "refused")

    return make


@pytest.fixture
def pair() -> Callable[..., TrialPair]:
    """A pair of trials: `pair(baseline, candidate, again=..., case=...)`."""

    def make(baseline: Trial, candidate: Trial, **fields: Any) -> TrialPair:
        known: dict[str, Any] = {"case": "cases/one", "baseline": baseline, "candidate": candidate}
        return TrialPair(**{**known, **fields})

    return make
