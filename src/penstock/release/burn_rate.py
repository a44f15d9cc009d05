"""Error budgets and burn rates: how fast an agent uses up the failures that its SLO allows.

The burn rate of a window is its share of failures over what the objective allows, 1 - successRate: at 1 the budget
lasts exactly as long as the SLO's period. A long window shows that it matters, a short one that it still goes on;
both must be over the factor. Windows and factors are those of B. Beyer et al., The Site Reliability Workbook
(O'Reilly, 2018), chapter 5, "6: Multiwindow, Multi-Burn-Rate Alerts".
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.contracts.document import duration_s
from penstock.contracts.operations_alerts import BurnRate
from penstock.store.run_figures import RunFigures, Tally

DIGITS = 6
LEAST_RUNS = 10
"""With fewer runs a window says nothing, whatever the objective."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a burn rate. `rate` None = no data, and `why`."""

    length: str
    runs: int
    failed: int
    rate: float | None
    why: str = ""

    def as_document(self) -> dict[str, Any]:
        """The window as a JSON object."""
        return {
            "window": self.length, "runs": self.runs, "failed": self.failed, "rate": self.rate, "why": self.why
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Burn:
    """A pair of windows. `burning` None = not known: one of them has no data, and the other is not below the factor."""

    name: str
    factor: float
    long: Window
    short: Window

    @property
    def burning(self) -> bool | None:
        """Whether both windows are at the factor or over it."""
        rates = (self.long.rate, self.short.rate)
        if any(rate is not None and rate < self.factor for rate in rates):
            return False
        return None if None in rates else True

    def as_document(self) -> dict[str, Any]:
        """The pair as a JSON object."""
        windows = {"long": self.long.as_document(), "short": self.short.as_document()}
        return {"name": self.name, "factor": self.factor, **windows, "burning": self.burning}


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """Failures that the objective allows in a period, and what is left of them.

    `left` is a share, below 0 once it is overspent; None = no data, and `why`.
    """

    objective: float
    runs: int
    failed: int
    allowed: float
    left: float | None
    why: str = ""

    def as_document(self) -> dict[str, Any]:
        """The budget as a JSON object."""
        return {
            "objective": self.objective, "runs": self.runs, "failed": self.failed, "allowed": self.allowed,
            "left": self.left, "why": self.why,
        }  # fmt: skip


def error_budget(objective: float, tally: Tally) -> ErrorBudget:
    """The budget of a period in which these runs were. A period too small to allow one failure has no data."""
    allowed = round(tally.judged * (1 - objective), DIGITS)  # 1 - 0.9 is a little less than a tenth
    left: float | None = None
    why = ""
    if objective >= 1:
        why = "an objective of 100 % allows no failure"
    elif allowed < 1:
        why = f"{tally.judged} runs: one failure is allowed in {math.ceil(round(1 / (1 - objective), DIGITS))}"
    else:
        left = round(1 - tally.failed / allowed, DIGITS)
    return ErrorBudget(objective, tally.judged, tally.failed, allowed, left, why)


def burns(
    figures: RunFigures, standing: tuple[str, str, float], rules: Iterable[BurnRate], now: datetime | None = None
) -> list[Burn]:
    """The burn rates of an agent at a stage with an objective, one a rule. Raises `Unavailable`."""
    agent, stage, objective = standing
    wanted = list(rules)
    if not wanted:
        return []
    moment = now or datetime.now(UTC)
    lengths = sorted({length for rule in wanted for length in (rule.long, rule.short)})
    sinces = [(moment - timedelta(seconds=duration_s(length))).isoformat() for length in lengths]
    tallies = dict(zip(lengths, figures.tallies(agent, stage, sinces), strict=True))
    return [
        Burn(
            rule.name,
            rule.factor,
            *(_window(length, tallies[length], objective, rule.factor) for length in (rule.long, rule.short)),
        )
        for rule in wanted
    ]


def _window(length: str, tally: Tally, objective: float, factor: float) -> Window:
    if objective >= 1:
        return Window(length, tally.judged, tally.failed, None, "an objective of 100 % allows no failure")
    least = least_runs(objective, factor)
    if tally.judged < least:
        return Window(length, tally.judged, tally.failed, None, f"{tally.judged} runs, at least {least} are needed")
    rate = round((tally.failed / tally.judged) / (1 - objective), DIGITS)
    return Window(length, tally.judged, tally.failed, rate)


def least_runs(objective: float, factor: float) -> int:
    """So many runs that one failure alone stays below the factor, and at least `LEAST_RUNS`."""
    return max(LEAST_RUNS, math.floor(round(1 / (factor * (1 - objective)), DIGITS)) + 1)
