"""Pipeline: which gates, approvals and canary steps stand before each stage."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from penstock.contracts.document import Document, Name, NamedMetadata, Spec


class GateUse(Spec):
    """One gate with its parameters; a gate that is not in the file does not exist."""

    later: ClassVar[frozenset[str]] = frozenset({"inconclusive"})
    gate: Name
    params: dict[str, Any] = Field(default_factory=dict, description="Exactly the gate's own keyword parameters.")
    when_no_baseline: Literal["skip", "block"] = Field(
        "block", description="Of a gate that compares with production, where prod serves nothing: skip lets pass."
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
    """One step of a canary."""

    later: ClassVar[frozenset[str]] = frozenset({"soak", "minSessions"})
    percent: float = Field(gt=0, le=100, description="Share of requests, percent; at most two decimals.")


class Canary(Spec):
    """How a canary grows; this version knows one step of fixed weight."""

    steps: list[CanaryStep] = Field(min_length=1, max_length=1)


class PipelineSpec(Spec):
    """The path from a merge to production."""

    later: ClassVar[frozenset[str]] = frozenset({"blackouts"})
    stages: StageSet
    canary: Canary


class Pipeline(Document):
    """pipelines/release.yaml"""

    kind: Literal["Pipeline"]
    metadata: NamedMetadata
    spec: PipelineSpec
