"""Capacity: how many runs may be at work, begin and wait at one of the three levels, and of one tenant."""

from typing import Literal

from pydantic import Field

from penstock.contracts.document import Name, Spec


class Capacity(Spec):
    """What one holder (all, a team, an agent, a tenant) may ask for; an absent figure is no limit of this level."""

    concurrency: int | None = Field(None, ge=1, le=1_000_000, description="Runs at work at once.")
    rate_per_minute: int | None = Field(
        None, ge=1, le=100_000_000, description="Runs that begin in any minute, by a moving window."
    )
    queue_depth: int | None = Field(
        None, ge=0, le=1_000_000, description="Runs that wait for a place; the next is refused. 0 = none waits."
    )


class WholeCapacity(Capacity):
    """What all runs together may ask for; an absent figure is the default, null is no limit."""

    concurrency: int | None = Field(256, ge=1, le=1_000_000, description="Runs at work at once.")
    rate_per_minute: int | None = Field(
        60_000, ge=1, le=100_000_000, description="Runs that begin in any minute, by a moving window."
    )
    queue_depth: int | None = Field(
        512, ge=0, le=1_000_000, description="Runs that wait for a place; the next is refused. 0 = none waits."
    )


def _global() -> WholeCapacity:
    return WholeCapacity.model_validate({})


def _none() -> Capacity:
    return Capacity.model_validate({})


class CapacityRules(Spec):
    """The limits of a project: for all its executors together where they share Redis, else for each of them."""

    everything: WholeCapacity = Field(default_factory=_global, alias="global", description="All runs together.")
    team: Capacity = Field(default_factory=_none, description="Each team that `teams` does not name.")
    agent: Capacity = Field(
        default_factory=_none, description="Each agent; what its own spec.limits says wins where it is lower."
    )
    tenant: Capacity = Field(
        default_factory=_none,
        description="Each tenant that `tenants` does not name; runs without one are together those of the tenant ''.",
    )
    teams: dict[Name, Capacity] = Field(default_factory=dict, description="By team.")
    agents: dict[Name, Capacity] = Field(default_factory=dict, description="By agent.")
    tenants: dict[str, Capacity] = Field(default_factory=dict, description="By tenant.")
    max_wait_ms: int = Field(
        10_000,
        ge=0,
        le=600_000,
        description="How long a run waits for a place before it is refused, milliseconds. 0 = none waits.",
    )
    when_shared_is_gone: Literal["closed", "open"] = Field(
        "closed", description="Without the Redis that executors share: refuse runs, or hold the limits in each alone."
    )
