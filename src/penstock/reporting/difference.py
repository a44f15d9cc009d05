"""The artifacts of gates `diff` and `shadow` as the report reads them: what two versions do otherwise, case by case."""

from typing import Any

from pydantic import Field

from penstock.contracts.document import Record
from penstock.reporting.side import Change, Problem, Ratio, Running, Side


class PathCount(Record):
    """How many cases differ at one JSON path."""

    path: str
    changed: int


class NoiseFloor(Record):
    """How often production differs from itself."""

    share: float | None = None
    lower: float | None = None
    upper: float | None = None
    pairs: int | None = None


class ArtifactTotal(Record):
    """Outputs that are equal and changed; `share` is that of the changed."""

    equal: int = 0
    changed: int = 0
    share: float | None = None
    noise_floor: NoiseFloor | None = None
    by_path: list[PathCount] = Field(default_factory=list)


class EventTotal(Record):
    """Event sequences that are equal and changed, and the steps that were moved, missing or added."""

    equal: int = 0
    changed: int = 0
    share: float | None = None
    noise_floor: NoiseFloor | None = None
    moved: int = 0
    missing: int = 0
    added: int = 0


class CostTotal(Record):
    """USD and tokens; pairs are [production, candidate]."""

    baseline_usd: float | None = None
    candidate_usd: float | None = None
    ratio: Ratio | None = None
    prompt_tokens: list[float | None] = Field(default_factory=list)
    completion_tokens: list[float | None] = Field(default_factory=list)


class SloTotal(Record):
    """Service levels; pairs are [production, candidate]."""

    success_rate: list[float | None] = Field(default_factory=list)
    p50_ms: list[float | None] = Field(default_factory=list)
    p95_ms: list[float | None] = Field(default_factory=list)
    ttft_p50_ms: list[float | None] = Field(default_factory=list, alias="ttftP50Ms")


class EventStep(Record):
    """One step of the aligned sequences: equal, moved, missing (production alone has it) or added."""

    op: str
    step: str


class Refusal(Record):
    """A call that the candidate made and that was not carried out."""

    tool: str
    arguments: Any = None
    why: str = ""


class DiffCase(Record):
    """One pair of runs."""

    id: str
    repeat: int | None = None
    source: str = ""
    equal: bool = False
    difference: list[Change] = Field(default_factory=list)
    difference_in_all: int | None = None
    events: list[EventStep] = Field(default_factory=list)
    candidate: Side | None = None
    baseline: Side | None = None
    refused: list[Refusal] = Field(default_factory=list)


class Source(Record):
    """Where the pairs of a shadow run came from."""

    recorded: int = 0
    dataset: int = 0


class SideEffects(Record):
    """What became of the candidate's tool calls."""

    refused: int = 0
    from_journal: int = 0
    called_read: int = 0
    called_write: int = 0


class DifferenceShown(Record):
    """Everything that `diff` or `shadow` found."""

    pairs: int
    artifact: ArtifactTotal = Field(default_factory=ArtifactTotal)
    events: EventTotal = Field(default_factory=EventTotal)
    cost: CostTotal = Field(default_factory=CostTotal)
    slo: SloTotal = Field(default_factory=SloTotal)
    cases: list[DiffCase] = Field(default_factory=list)
    cases_in_all: int | None = None
    problems: list[Problem] = Field(default_factory=list)
    run: Running = Field(default_factory=Running)
    source: Source | None = None
    side_effects: SideEffects | None = None
