"""Eval suites that domain teams write: which cases an agent is run on, how its answers are scored, what is asked."""

from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, Name, NamedMetadata, Spec
from penstock.contracts.reference import AgentRef

Reducer = Literal["mean", "pass@k", "pass^k"]
ScorerName = Annotated[
    str,
    Field(
        pattern=r"^(own/)?[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$",
        description="A scorer's name, or own/<file> for evals/scorers/<file>.py.",
    ),
]


class ScorerUse(Spec):
    """One scorer with its parameters, and what is asked of its scores; a use that asks nothing informs only."""

    scorer: ScorerName
    name: Name | None = Field(
        None, description="What reports call it, unique in the suite; default: the scorer's name."
    )
    params: dict[str, Any] = Field(default_factory=dict, description="Exactly the scorer's own keyword parameters.")
    agent: AgentRef | None = Field(None, description="The judge that is asked, at its pinned version.")
    calibration: Name | None = Field(
        None, description="Dataset of labelled answers that the judge is measured against."
    )
    reducer: Reducer = Field("mean", description="What the repeats of a case come to: one value a case.")
    at_least: float | None = Field(None, description="Least mean over all cases; less is failed.")
    at_most: float | None = Field(None, description="Greatest mean over all cases; more is failed.")
    margin: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Greatest loss against production (of cost and latency: rise) that passes; none = not compared.",
    )

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.name or self.scorer.removeprefix("own/").replace("_", "-")

    @property
    def asks(self) -> bool:
        """Whether a verdict hangs on it."""
        return (self.at_least, self.at_most, self.margin) != (None, None, None)


class EvalBudget(Spec):
    """What one evaluation may cost at most; what is left then is not run, and there is no verdict."""

    cost_usd: float = Field(10.0, gt=0, le=100_000, description="All runs and judge calls together, USD.")
    minutes: float = Field(60.0, gt=0, le=10_080, description="Wall time.")


class ModelPace(Spec):
    """How fast one model may be asked."""

    rpm: int | None = Field(None, ge=1, description="Requests a minute.")
    tpm: int | None = Field(None, ge=1, description="Tokens a minute, prompt and completion.")


class Tolerance(Spec):
    """Numbers that count as equal at a JSON path."""

    path: str = Field(pattern=r"^\$", description="RFC 9535 JSON path of the output.")
    absolute: float = Field(0.0, ge=0, description="Greatest difference.")
    relative: float = Field(0.0, ge=0, le=1, description="Greatest difference as a fraction of the baseline's number.")


class DiffRules(Spec):
    """What counts as a difference of two artifacts."""

    ignore: list[str] = Field(default_factory=list, description="RFC 9535 JSON paths that are not compared.")
    tolerances: list[Tolerance] = Field(default_factory=list)
    unordered: list[str] = Field(default_factory=list, description="JSON paths of lists whose order means nothing.")


class Online(Spec):
    """Scoring of production runs afterwards, never in the request's path."""

    share: float = Field(gt=0, le=1, description="Share of live runs that are scored.")
    scorers: list[Name] = Field(min_length=1, description="Names of this suite's scorers that need no expectation.")
    cost_usd_per_day: float = Field(5.0, gt=0, description="Judge calls of one day, USD.")


class EvalSpec(Spec):
    """What an agent is evaluated on; every case must be a valid input of every version that is not retired."""

    datasets: list[Name] = Field(min_length=1)
    scorers: list[ScorerUse] = Field(default_factory=list)
    sample: int | None = Field(None, ge=1, description="At most so many cases, chosen by digest; none = all.")
    repeats: int = Field(1, ge=1, le=100, description="Runs of each case.")
    concurrency: int = Field(16, ge=1, le=512, description="Runs in flight at once.")
    budget: EvalBudget = Field(default_factory=lambda: EvalBudget.model_validate({}))
    pace: dict[Name, ModelPace] = Field(default_factory=dict, description="Model name -> how fast it may be asked.")
    early_stop: bool = Field(False, description="Stop once an always-valid test has decided; it takes alpha 0.01.")
    diff: DiffRules = Field(default_factory=lambda: DiffRules.model_validate({}))
    online: Online | None = None


class EvalSuite(Document):
    """evals/<agent>.yaml"""

    kind: Literal["EvalSuite"]
    metadata: NamedMetadata
    spec: EvalSpec
