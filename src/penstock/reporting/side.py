"""What the artifacts of gates that compare have in common: one side of a case, its calls, and what changed."""

from typing import Any

from pydantic import Field

from penstock.contracts.document import Record


class Call(Record):
    """One tool call; `error` is why it gave no result."""

    name: str
    arguments: Any = None
    result: Any = None
    error: Any = None


class Side(Record):
    """A trial of one release as reports show it."""

    release: str = ""
    run_id: str = ""
    runtime: str = ""
    status: str = ""
    output: Any = None
    failure: Any = None
    calls: list[Call] = Field(default_factory=list)
    steps: list[str] = Field(default_factory=list)
    cost_usd: float | None = None
    duration_ms: float | None = None
    ttft_ms: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Change(Record):
    """One place at which two artifacts differ; `kind` is changed, added or removed."""

    path: str
    kind: str
    before: Any = None
    after: Any = None


class Problem(Record):
    """What could not be measured: a trial without evidence, a scorer that crashed, a pair that is missing."""

    side: str = ""
    case: str = ""
    repeat: int | None = None
    what: str = ""


class Ratio(Record):
    """A factor against production with its interval."""

    value: float
    lower: float | None = None
    upper: float | None = None
    n: int | None = None


class Running(Record):
    """How a gate that makes runs went."""

    repeats: int | None = None
    trials: int | None = None
    made: int | None = None
    reused: int | None = None
    seconds: float | None = None
    cost_usd: float | None = None
    stopped: str | None = None
    stopped_early: bool | str | None = None
