"""Pipeline: which gates, approvals and canary steps stand before each stage."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Document, Duration, Name, NamedMetadata, Spec
from penstock.contracts.policy import Stage
from penstock.contracts.stages import AllowList

LiveMetric = Literal["success", "latency", "cost", "toolSuccess", "feedback"]


class GateUse(Spec):
    """One gate with its parameters; a gate that is not in the file does not exist."""

    gate: Name
    params: dict[str, Any] = Field(default_factory=dict, description="Exactly the gate's own keyword parameters.")
    when_no_baseline: Literal["skip", "block"] = Field(
        "block", description="Of a gate that compares with production, where prod serves nothing: skip lets pass."
    )
    inconclusive: Literal["block", "person"] = Field(
        "block", description="What an inconclusive result does: person lets `agentctl approve --accept` open the gate."
    )


class ApprovalRule(Spec):
    """Who must approve; never the author."""

    from_: Literal["owners", "releaseManagers"] = Field(alias="from", description="owners = the team's approvers.")
    count: int = Field(1, ge=1, le=20, description="How many different people.")
    valid_hours: int = Field(168, ge=1, le=8_760, description="How long an approval counts, hours.")


class StageRules(Spec):
    """What stands before one stage."""

    automatic: bool = Field(False, description="Moved there without `promote` once nothing stands in the way.")
    gates: list[GateUse] = Field(default_factory=list)
    approvals: list[ApprovalRule] = Field(default_factory=list)


class StageSet(Spec):
    """The three stages."""

    dev: StageRules
    canary: StageRules
    prod: StageRules


class CanaryStep(Spec):
    """One step of a canary: it is left, forward, once it has soaked and met enough sessions."""

    percent: float = Field(
        ge=0, le=100, description="Share of sessions, percent; at most two decimals. 0 = who is allowed alone."
    )
    soak: Duration = Field("0s", description="How long the step lasts at least.")
    min_sessions: int = Field(0, ge=0, le=1_000_000, description="Sessions on the canary that the step waits for.")
    deadline: Duration = Field(
        "7d", description="After so long without enough sessions the agent is held for a person; 0s = never."
    )
    allow: AllowList = Field(
        default_factory=lambda: AllowList.model_validate({}),
        description="Who meets the canary from this step on.",
    )


class MetricWatch(Spec):
    """One figure of live sessions in which the canary must not be worse than prod."""

    metric: LiveMetric = Field(
        description="success = runs that do not finish; latency = runs over slo.p95Ms; cost = runs over "
        "slo.costPerRunUsd; toolSuccess = tool calls that fail; feedback = users' words that are down."
    )
    tolerance: float = Field(
        0.0, ge=0, lt=1, description="How much larger the canary's share may be before it is worse, a fraction."
    )
    dry_run: bool = Field(False, description="Watched and shown; it aborts nothing and takes no part of alpha.")


class CanaryAnalysis(Spec):
    """How live sessions of a canary are judged against those of prod in the same time."""

    alpha: float = Field(
        0.05, gt=0, le=0.2, description="Chance of a false abort in a whole rollout, shared by the metrics."
    )
    metrics: list[MetricWatch] = Field(
        default_factory=lambda: [
            MetricWatch.model_validate({"metric": metric})
            for metric in ("success", "latency", "cost", "toolSuccess", "feedback")
        ]
    )
    session_window: Duration = Field(
        "5m", description="A session is judged by its runs in this time after its first, and once that is over."
    )
    require_non_inferior: bool = Field(
        False, description="A step waits for proof that the canary fails at most `margin` more than prod."
    )
    margin: float = Field(0.01, gt=0, lt=1, description="Of `requireNonInferior`: a difference of shares, a fraction.")


class Canary(Spec):
    """How a canary grows, step by step, and what makes it stop."""

    steps: list[CanaryStep] = Field(min_length=1, max_length=50)
    analysis: CanaryAnalysis = Field(default_factory=lambda: CanaryAnalysis.model_validate({}))


def _promoted_to() -> list[Stage]:
    return ["canary", "prod"]


class Blackout(Spec):
    """A time that comes again and again, in which nothing is promoted (deny), or outside of which nothing is (allow).

    Where both say something, deny wins. Rollbacks and other urgent changes are exempt.
    """

    name: Name
    kind: Literal["deny", "allow"] = "deny"
    cron: str = Field(description="When it begins: minute, hour, day of month, month, day of week; by `timeZone`.")
    duration: Duration = Field(description="How long it lasts, of elapsed time; at most 31d.")
    time_zone: str = Field("UTC", description="An IANA time zone, as Europe/Berlin.")
    agents: list[str] = Field(
        default_factory=lambda: ["*"], min_length=1, description="Names of agents, or a start with a trailing *."
    )
    stages: list[Stage] = Field(
        default_factory=_promoted_to, min_length=1, description="Stages that nothing goes to meanwhile."
    )
    reason: str = Field(min_length=1, description="Shown to whoever is kept waiting.")


class PipelineSpec(Spec):
    """The path from a merge to production."""

    stages: StageSet
    canary: Canary
    blackouts: list[Blackout] = Field(default_factory=list)


class Pipeline(Document):
    """pipelines/release.yaml"""

    kind: Literal["Pipeline"]
    metadata: NamedMetadata
    spec: PipelineSpec
