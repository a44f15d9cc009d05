"""Operations: what a platform team sets for running, apart from any agent's version."""

from typing import Literal

from pydantic import Field

from penstock.contracts.breaker import BreakerRules
from penstock.contracts.budget import BudgetRules
from penstock.contracts.capacity import CapacityRules
from penstock.contracts.document import Document, NamedMetadata, Spec
from penstock.contracts.operations_alerts import Alerts
from penstock.contracts.retention import RetentionRules


class OperationsSpec(Spec):
    """What executors hold to; they follow a change of the file within seconds."""

    limits: CapacityRules = Field(default_factory=lambda: CapacityRules.model_validate({}))
    budgets: BudgetRules = Field(default_factory=lambda: BudgetRules.model_validate({}))
    alerts: Alerts = Field(default_factory=lambda: Alerts.model_validate({}))
    breakers: BreakerRules = Field(default_factory=lambda: BreakerRules.model_validate({}))
    retention: RetentionRules = Field(default_factory=lambda: RetentionRules.model_validate({}))


class Operations(Document):
    """pipelines/operations.yaml; without it the defaults hold."""

    kind: Literal["Operations"]
    metadata: NamedMetadata
    spec: OperationsSpec
