"""What the judges of one agent's live runs may cost in a day, over all workers; and what each attempt did cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from penstock.scoring.budget import Budget
from penstock.store.run_scores import Spent

DAY_MINUTES = 24 * 60.0


@dataclass(slots=True)
class Attempt:
    """One attempt to score one run: what its judge's runs cost so far, USD (None = not known), and how many."""

    cost_usd: float | None = 0.0
    asked: int = 0


_ATTEMPT: ContextVar[Attempt] = ContextVar("penstock_online_attempt")


class DayBudget(Budget):
    """USD of one day for one agent. What other workers spent is told by `seen`.

    A judge without a known price cannot be held to a budget: after its first answer nothing more is asked that day.
    """

    def __init__(self, cost_usd: float, spent: Spent) -> None:
        super().__init__(cost_usd, DAY_MINUTES)
        self.seen(spent)

    def seen(self, spent: Spent) -> None:
        """Takes in what the database says was spent today, by everybody."""
        self.spent_usd = max(self.spent_usd, spent.usd)
        self.unpriced = max(self.unpriced, spent.unpriced)

    def spend(self, cost_usd: float | None) -> None:
        """Adds a judge's answer, here and to the attempt that asked for it."""
        super().spend(cost_usd)
        attempt = _ATTEMPT.get(None)
        if attempt is not None:
            known = attempt.cost_usd is not None and cost_usd is not None
            attempt.cost_usd = (attempt.cost_usd or 0.0) + (cost_usd or 0.0) if known else None
            attempt.asked += 1

    def refusal(self) -> str | None:
        """Why no judge may be asked any more today; None while one may."""
        if self.unpriced:
            return "the judge's price is unknown, so costUsdPerDay cannot be held: give its model a price"
        if self.spent_usd >= self.cost_usd:
            return f"the day's budget of {self.cost_usd:g} USD is used up ({self.spent_usd:.4f} USD spent)"
        return None


@contextmanager
def attempt() -> Iterator[Attempt]:
    """What is spent inside, in this task and those that it starts, is the attempt's."""
    made = Attempt()
    token = _ATTEMPT.set(made)
    try:
        yield made
    finally:
        _ATTEMPT.reset(token)
