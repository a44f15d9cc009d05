"""Stages: which version of an agent stands where. Written by promotion, never by hand."""

from typing import Literal

from pydantic import Field

from penstock.contracts.document import Digest, Document, Name, NamedMetadata, Spec, Version
from penstock.contracts.reference import ModelRef

Status = Literal["active", "frozen", "disabled"]


class Standing(Spec):
    """A version and the runtime that serves it."""

    version: Version
    runtime: Name


class AllowList(Spec):
    """Callers who always meet the canary."""

    tenants: list[str] = Field(default_factory=list)
    users: list[str] = Field(default_factory=list)
    sessions: list[str] = Field(default_factory=list)


class CanaryStanding(Standing):
    """The canary, its step and its share. The window of its live analysis starts where it `began`."""

    step: int = Field(ge=1, description="Which step of the pipeline's canary, from 1.")
    weight_bp: int = Field(ge=0, le=10_000, description="Share of requests, hundredths of a percent.")
    since: str = Field(description="When this step began, RFC 3339 in UTC.")
    allow: AllowList = Field(default_factory=lambda: AllowList.model_validate({}))
    began: str = Field(
        "", description="When its first step began, RFC 3339 in UTC; empty in the first step, whose `since` it is."
    )


class Draining(Standing):
    """A version that still answers the sessions that are on it."""

    until: str = Field(description="When it stops answering them, RFC 3339 in UTC.")


class Hold(Spec):
    """Nothing automatic happens until `agentctl unhold`."""

    by: str
    since: str
    reason: str


class Degraded(Spec):
    """Runs ask this model first until `agentctl degrade --off`."""

    model: ModelRef
    by: str
    since: str
    reason: str


class StagesSpec(Spec):
    """Every version on main stands in exactly one place, draining apart."""

    status: Status = "active"
    dev: list[Standing] = Field(default_factory=list)
    canary: CanaryStanding | None = None
    prod: Standing | None = None
    previous: Standing | None = Field(None, description="What a rollback of prod goes back to.")
    draining: list[Draining] = Field(default_factory=list)
    deprecated: list[Version] = Field(default_factory=list)
    disabled: list[Version] = Field(default_factory=list)
    quarantined: list[Digest] = Field(default_factory=list, description="Releases that may not be promoted again.")
    hold: Hold | None = None
    degraded: Degraded | None = None


class Stages(Document):
    """registry_repo/stages/<agent>.yaml"""

    kind: Literal["Stages"]
    metadata: NamedMetadata
    spec: StagesSpec
