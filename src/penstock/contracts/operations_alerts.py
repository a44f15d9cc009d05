"""Alerts: what operators are told of. The section `spec.alerts` of pipelines/operations.yaml."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from penstock.contracts.document import Duration, Name, Spec
from penstock.contracts.policy import Stage

Severity = Literal["warning", "error"]


def _served() -> list[Stage]:
    return ["canary", "prod"]


class _Rule(Spec):
    """What all rules say. Live runs alone are watched."""

    name: Name
    severity: Severity = "warning"
    agents: list[str] = Field(
        default_factory=lambda: ["*"], min_length=1, description="Names of agents, or a start with a trailing *."
    )
    stages: list[Stage] = Field(default_factory=_served, min_length=1, description="Stages whose runs are watched.")

    def applies(self, agent: str, stage: str) -> bool:
        """Whether the rule watches this agent at this stage."""
        return stage in self.stages and any(
            agent == one or (one.endswith("*") and agent.startswith(one[:-1])) for one in self.agents
        )


class SlowFirstToken(_Rule):
    """The first token of a run took longer; only of runs whose model answers are streamed."""

    when: Literal["ttft"]
    above_ms: float = Field(2_000, ge=0, description="From the start of the run, milliseconds.")


class FailedTool(_Rule):
    """A tool call gave no result; each such call."""

    when: Literal["tool-failed"]


class CostlyRun(_Rule):
    """The model calls of one run cost more; once a run."""

    when: Literal["run-cost"]
    above_usd: float = Field(1.0, ge=0, description="USD of all model calls together.")


class CostAnomaly(_Rule):
    """The last 60 minutes of an agent cost more than a multiple of its usual hour."""

    when: Literal["hourly-cost"]
    factor: float = Field(3.0, gt=1, description="Times the median hour of the 7 days before, of hours with runs.")
    least_hours: int = Field(24, ge=1, le=168, description="So many hours with runs; with fewer there is no usual one.")


class BurnRate(_Rule):
    """An agent uses its error budget up: in both windows the failures are so many times what its SLO allows."""

    when: Literal["burn-rate"]
    long: Duration = Field("1h", description="The window that shows that it matters.")
    short: Duration = Field("5m", description="The window that shows that it still goes on.")
    factor: float = Field(14.4, gt=0, description="Share of failures, over 1 - slo.successRate.")


AlertRule = Annotated[SlowFirstToken | FailedTool | CostlyRun | CostAnomaly | BurnRate, Field(discriminator="when")]

_DEFAULTS: list[dict[str, Any]] = [
    {"name": "slow-first-token", "when": "ttft"},
    {"name": "tool-failed", "when": "tool-failed"},
    {"name": "costly-run", "when": "run-cost"},
    {"name": "cost-anomaly", "when": "hourly-cost"},
    {"name": "burn-fast", "when": "burn-rate", "severity": "error"},
    {"name": "burn-slow", "when": "burn-rate", "long": "6h", "short": "30m", "factor": 6.0},
]
_KINDS: dict[str, type[_Rule]] = {
    "ttft": SlowFirstToken,
    "tool-failed": FailedTool,
    "run-cost": CostlyRun,
    "hourly-cost": CostAnomaly,
    "burn-rate": BurnRate,
}


def _defaults() -> list[Any]:
    return [_KINDS[rule["when"]].model_validate(rule) for rule in _DEFAULTS]


class Alerts(Spec):
    """The rules, and how often one of them is heard. Absent: every default; a list takes their place."""

    rules: list[AlertRule] = Field(default_factory=_defaults, description="Each by a name of its own.")
    quiet: Duration = Field(
        "10m", description="The same rule on the same agent is told once in this time; repeats are counted in it."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "Alerts":
        twice = sorted(name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1)
        if twice:
            raise ValueError(f"rules share a name: {', '.join(twice)}")
        return self


DEFAULT_ALERTS = Alerts.model_validate({})
