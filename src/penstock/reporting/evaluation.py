"""The artifacts of gate `eval` as the report reads them: what is not known of an older result is simply not shown."""

from typing import Any

from pydantic import Field

from penstock.contracts.document import Record
from penstock.reporting.side import Change, Problem, Ratio, Running, Side

Value = bool | float | str | None


class Limit(Record):
    """What the suite asks of a scorer; None = it is not asked."""

    at_least: float | None = None
    at_most: float | None = None
    margin: float | None = None

    @property
    def words(self) -> str:
        """The limit in words."""
        parts = [
            f"{name} {value:g}" for name, value in (("≥", self.at_least), ("≤", self.at_most)) if value is not None
        ]
        return ", ".join([*parts, *([f"margin {self.margin:g}"] if self.margin is not None else [])])


class Comparison(Record):
    """A scorer's values against production's: a difference of means, or for measures a ratio."""

    method: str
    units: int | None = None
    difference: float | None = None
    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    margin: float | None = None
    max_rise: float | None = None
    alpha: float | None = None
    minimum_detectable_loss: float | None = None
    reason: str = ""
    informing: dict[str, Any] = Field(default_factory=dict)
    early: bool = False


class Judge(Record):
    """The agent that gave the scores."""

    ref: str
    release: str
    model: str | None = None


class Calibration(Record):
    """How far a judge agrees with people."""

    statistic: str
    value: float | None = None
    lower: float | None = None
    upper: float | None = None
    n: int | None = None
    dataset: str | None = None
    failed: list[str] = Field(default_factory=list)
    why: str | None = None


class ScorerRow(Record):
    """One scorer's verdict."""

    title: str
    scorer: str = ""
    kind: str = ""
    digest: str | None = None
    reducer: str = "mean"
    n: int = 0
    mean: float | None = None
    interval: tuple[float, float] | None = None
    baseline_mean: float | None = None
    limit: Limit = Field(default_factory=Limit)
    outcome: str = "informs"
    reason: str = ""
    comparison: Comparison | None = None
    labels: dict[str, int] | None = None
    judge: Judge | None = None
    calibration: Calibration | None = None


class CaseRow(Record):
    """One case: each scorer's value of the candidate and of production."""

    id: str
    cluster: str | None = None
    tags: list[str] = Field(default_factory=list)
    status: str = ""
    candidate: dict[str, Value] = Field(default_factory=dict)
    baseline: dict[str, Value] | None = None
    cost_usd: float | None = None
    duration_ms: float | None = None
    baseline_cost_usd: float | None = None
    baseline_duration_ms: float | None = None


class Flip(Record):
    """A case that a scorer sees otherwise than in production."""

    id: str
    scorer: str
    direction: str
    tags: list[str] = Field(default_factory=list)
    input: Any = None
    expected: Any = None
    reason: str = ""
    candidate: Side
    baseline: Side
    difference: list[Change] = Field(default_factory=list)


class Slice(Record):
    """The cases of one tag by themselves; `p_holm` is corrected for all slices that were looked at."""

    tag: str
    scorer: str
    n: int
    difference: float | None = None
    p_value: float | None = None
    p_holm: float | None = None


class Cost(Record):
    """All runs of each side, USD."""

    candidate_usd: float | None = None
    baseline_usd: float | None = None
    ratio: Ratio | None = None


class Latency(Record):
    """Durations of each side's runs, milliseconds."""

    candidate_p50_ms: float | None = None
    candidate_p95_ms: float | None = None
    baseline_p50_ms: float | None = None
    baseline_p95_ms: float | None = None
    ratio: Ratio | None = None


class EvaluationShown(Record):
    """Everything that gate `eval` found."""

    scorers: list[ScorerRow]
    cases: list[CaseRow] = Field(default_factory=list)
    flips: list[Flip] = Field(default_factory=list)
    flips_in_all: int | None = None
    slices: list[Slice] = Field(default_factory=list)
    problems: list[Problem] = Field(default_factory=list)
    cost: Cost = Field(default_factory=Cost)
    latency: Latency = Field(default_factory=Latency)
    run: Running = Field(default_factory=Running)
