"""Breakers: when a tool or a model deployment that fails is left alone, and when it is tried again."""

from pydantic import Field

from penstock.contracts.document import Name, Spec


class Breaker(Spec):
    """One breaker: it opens after failures in a row, or at a share of them, and lets probes through after a while."""

    failures: int = Field(5, ge=1, le=10_000, description="Failures in a row that open it.")
    failure_rate: float = Field(0.5, gt=0, le=1, description="Share of failures in the window that opens it.")
    window_calls: int = Field(20, ge=1, le=10_000, description="How many of the last calls the share is of, at least.")
    open_ms: int = Field(30_000, ge=10, le=3_600_000, description="How long it stays open before probes, milliseconds.")
    probes: int = Field(1, ge=1, le=100, description="Calls at once while half-open; all must succeed to close it.")
    probe_ms: int = Field(
        60_000, ge=10, le=3_600_000, description="After so long a probe that did not end is given up, milliseconds."
    )


def _breaker() -> Breaker:
    return Breaker.model_validate({})


class BreakerRules(Spec):
    """The breakers of a project."""

    tool: Breaker = Field(default_factory=_breaker, description="Each tool that `tools` does not name.")
    model: Breaker = Field(default_factory=_breaker, description="Each model that `models` does not name.")
    tools: dict[Name, Breaker] = Field(default_factory=dict, description="By tool.")
    models: dict[Name, Breaker] = Field(default_factory=dict, description="By model.")
