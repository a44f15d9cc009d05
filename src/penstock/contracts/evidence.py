"""Evidence, approvals and requests: the immutable records that a promotion rests on."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.canonical import digest
from penstock.contracts.document import Digest, Record
from penstock.contracts.policy import Stage

EVIDENCE_SCHEMA = "penstock.dev/evidence/v1"


class Evidence(Record):
    """evidence/sha256/<hex>.json: what an approval binds to."""

    schema_: Literal["penstock.dev/evidence/v1"] = Field("penstock.dev/evidence/v1", alias="schema")
    release: Digest
    baseline: Digest | None = Field(description="What prod served; null when no result used one.")
    stage: Stage
    results: list[Digest] = Field(description="Sorted ids of the newest counted results of this and earlier stages.")

    @property
    def digest(self) -> str:
        """Of (release, baseline, stage, sorted result ids)."""
        return digest([self.release, self.baseline, self.stage, sorted(self.results)])


class Approval(Record):
    """approvals/<evidence hex>/<hex>.json: a person's decision about exactly this evidence."""

    kind: Literal["approve", "reject", "accept"] = Field(description="accept = lets an inconclusive gate through.")
    evidence: Digest
    release: Digest
    stage: Stage
    who: str = Field(description="The person's e-mail address in lower case.")
    name: str = ""
    identified_by: str = Field("git-config", description="git-config = self-declared.")
    at: str
    expires_at: str
    comment: str
    gate: str | None = Field(None, description="With accept: the gate.")

    @property
    def digest(self) -> str:
        """The approval's name in the store."""
        return digest(self.as_document())


class Request(Record):
    """requests/<hex>.json: what a person asks of the driver."""

    action: Literal["promote", "advance"]
    agent: str
    version: str
    release: Digest
    stage: Stage
    who: str
    identified_by: str = "git-config"
    at: str
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The request's name in the store."""
        return digest(self.as_document())
