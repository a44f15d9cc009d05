from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from penstock.contracts.operations_alerts import DEFAULT_ALERTS, BurnRate
from penstock.release.burn_rate import Burn, burns, error_budget, least_runs
from penstock.store.run_figures import RunFigures, Tally

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = [rule for rule in DEFAULT_ALERTS.rules if isinstance(rule, BurnRate)]


class Runs:
    """Tallies by the length of the window, minutes; a longer one holds what the shorter ones do."""

    def __init__(self, **windows: tuple[int, int]) -> None:
        self._windows = {int(name[1:]): Tally(*runs) for name, runs in windows.items()}

    def tallies(self, agent: str, stage: str, sinces: Sequence[str]) -> list[Tally]:
        lengths = [(NOW - datetime.fromisoformat(since)).total_seconds() / 60 for since in sinces]
        return [self._windows[int(length)] for length in lengths]


def looked(objective: float = 0.99, **windows: tuple[int, int]) -> dict[str, Burn]:
    runs: Any = Runs(**windows)
    return {burn.name: burn for burn in burns(cast(RunFigures, runs), ("clerk", "prod", objective), RULES, NOW)}


def test_a_rate_is_the_share_of_failures_over_what_is_allowed() -> None:
    found = looked(m5=(100, 80), m30=(1_000, 950), m60=(1_000, 850), m360=(10_000, 9_400))
    fast, slow = found["burn-fast"], found["burn-slow"]
    rates = [window.rate for burn in (fast, slow) for window in (burn.long, burn.short)]
    assert rates == pytest.approx([15, 20, 6, 5])
    assert (fast.burning, slow.burning) == (True, False)


def test_what_is_over_burns_no_more() -> None:
    found = looked(m5=(100, 100), m30=(100, 100), m60=(1_000, 500), m360=(1_000, 500))
    assert [burn.burning for burn in found.values()] == [False, False]


def test_a_small_sample_says_nothing() -> None:
    found = looked(m5=(9, 0), m30=(9, 0), m60=(9, 0), m360=(9, 0))
    assert [burn.burning for burn in found.values()] == [None, None]
    assert {burn.long.rate for burn in found.values()} == {None}
    assert "9 runs, at least 10 are needed" in found["burn-fast"].short.why
    none = looked(m5=(0, 0), m30=(0, 0), m60=(0, 0), m360=(0, 0))
    assert none["burn-fast"].as_document()["burning"] is None


@pytest.mark.parametrize(("objective", "factor"), [(0.9, 14.4), (0.99, 6.0), (0.999, 14.4), (0.9999, 1.0)])
def test_one_failure_alone_never_alerts(objective: float, factor: float) -> None:
    least = least_runs(objective, factor)
    assert least >= 10
    assert (1 / least) / (1 - objective) < factor


def test_an_objective_of_everything_has_no_budget_to_burn() -> None:
    found = looked(1.0, m5=(100, 50), m30=(100, 50), m60=(100, 50), m360=(100, 50))
    assert [burn.burning for burn in found.values()] == [None, None]
    assert error_budget(1.0, Tally(100, 50)).left is None


def test_the_budget_is_what_the_period_allows() -> None:
    half = error_budget(0.99, Tally(1_000, 995))
    assert (half.allowed, half.failed) == (10, 5)
    assert half.left == pytest.approx(0.5)
    spent = error_budget(0.99, Tally(1_000, 970))
    assert spent.left == pytest.approx(-2)
    small = error_budget(0.99, Tally(99, 99))
    assert (small.left, small.why) == (None, "99 runs: one failure is allowed in 100")
    assert error_budget(0.99, Tally(0, 0)).left is None


def test_without_rules_nothing_is_asked() -> None:
    assert burns(cast(RunFigures, None), ("clerk", "prod", 0.99), [], NOW) == []
