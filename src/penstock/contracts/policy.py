"""Policy: allow and deny rules; deny wins, no rule means deny."""

from typing import Literal

from pydantic import Field

from penstock.contracts.document import Document, Metadata, Name, Spec

Action = Literal["run.start", "model.use", "tool.call"]
Stage = Literal["dev", "canary", "prod"]


class Rule(Spec):
    """One rule; an absent list matches anything. A pattern is an exact name or ends in `*`."""

    name: Name
    effect: Literal["allow", "deny"]
    actions: list[str] | None = Field(None, description="run.start, model.use, tool.call, or a prefix ending in *.")
    subjects: list[str] | None = Field(None, description="agent:<n>, team:<n>, tenant:<n>, user:<n>.")
    resources: list[str] | None = Field(None, description="agents/<n>, tools/<n>, models/<n>, without version.")
    stages: list[Stage] | None = None
    reason: str = Field("", description="Shown with every decision that this rule makes.")


class PolicySpec(Spec):
    """The rules of one policy."""

    rules: list[Rule] = Field(min_length=1)


class Policy(Document):
    """registry_repo/policies/<name>/<version>.yaml"""

    kind: Literal["Policy"]
    metadata: Metadata
    spec: PolicySpec
