"""Controls: what may keep a run or one of its calls from going on. The engine asks them; each is a part of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from penstock.contracts.agent import Limits
from penstock.contracts.budget import Budget
from penstock.engine.last_results import LastResults

Alerted = Callable[[dict[str, object]], None]
"""Hears that a soft budget is used up: scope, holder, period, spentUsd, limitUsd."""


@dataclass(frozen=True, slots=True)
class RunClaim:
    """A run as the controls see it, whatever way it came. `is_batch` = it may wait for all others."""

    run_id: str
    agent: str
    team: str
    tenant: str | None
    runtime: str
    limits: Limits
    is_batch: bool = False


class Place(Protocol):
    """A run's place among those at work. `is_alone` = executors that hold limits together do not know of it."""

    @property
    def is_alone(self) -> bool:
        """Whether it was had while the others could not be asked."""
        ...

    def leave(self) -> None:
        """Gives it back; once."""
        ...


class Admission(Protocol):
    """Holds the limits of concurrency, rate and queue depth: the one choke point of all runs."""

    async def enter(self, claim: RunClaim, queued: Callable[[str, int], None]) -> Place:
        """A place, at once or after a wait; a cancel gives up the wait.

        `queued` hears once that the run has to wait, at which level and behind how many. Raises `LimitReached`
        naming the level and the limit, with the seconds after which it may go better; `Unavailable` when what decides
        is away.
        """
        ...


class Permit(Protocol):
    """Leave for one call; exactly one of the three is said at its end."""

    def succeeded(self) -> None:
        """The call went well."""
        ...

    def failed(self) -> None:
        """What was called failed."""
        ...

    def given_up(self) -> None:
        """The call ended for reasons of the caller's, as a cancel: that says nothing about what was called."""
        ...


class Breakers(Protocol):
    """One breaker for each tool and each model (`tools/<name>`, `models/<name>`)."""

    def permit(self, resource: str, told: Callable[[str, str], None]) -> Permit:
        """Leave for a call of `resource`; raises `BreakerOpen`.

        `told` hears of each change that comes of this call, now or at its end: `opened` or `closed`, and why.
        """
        ...


class Reservation(Protocol):
    """Money that is set aside for one model call."""

    def settle(self, cost_usd: float | None) -> None:
        """What the call really cost, USD; None = it is not known, and what was reserved counts as spent."""
        ...


class Budgets(Protocol):
    """Holds the money of agents, teams and tenants."""

    async def admit(self, claim: RunClaim, alerted: Alerted) -> Budget | None:
        """What the run itself may spend, None = no more than its agent's limits say.

        Raises `BudgetSpent` when a hard budget is used up, and `Unavailable` when nobody can say whether it is.
        """
        ...

    async def reserve(self, claim: RunClaim, model: str, most_usd: float | None, alerted: Alerted) -> Reservation:
        """Sets the most that a call of `model` (a reference) can cost aside, in all budgets or in none.

        `most_usd` None = its price is not known. Raises `BudgetSpent` and `Unavailable`.
        """
        ...


class _Free:
    """No control at all: what an engine has that serves nobody but its caller."""

    is_alone = False

    def leave(self) -> None: ...
    def succeeded(self) -> None: ...
    def failed(self) -> None: ...
    def given_up(self) -> None: ...
    def settle(self, cost_usd: float | None) -> None: ...
    async def enter(self, claim: RunClaim, queued: Callable[[str, int], None]) -> "_Free":
        return self

    def permit(self, resource: str, told: Callable[[str, str], None]) -> "_Free":
        return self

    async def admit(self, claim: RunClaim, alerted: Alerted) -> Budget | None:
        return None

    async def reserve(self, claim: RunClaim, model: str, most_usd: float | None, alerted: Alerted) -> "_Free":
        return self


_FREE = _Free()


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of one engine; by default none, as for evaluations, which have bounds of their own."""

    admission: Admission = field(default=_FREE)
    breakers: Breakers = field(default=_FREE)
    budgets: Budgets = field(default=_FREE)
    results: LastResults = field(default_factory=LastResults)
