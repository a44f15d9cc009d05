import random
from itertools import pairwise

import pytest

from penstock.errors import Invalid
from penstock.scoring.statistics.betting import betting_p_value
from penstock.scoring.statistics.detectable import detectable_flips, detectable_mean
from penstock.scoring.statistics.tango import Flips, tango_interval


def equal(units: int) -> list[float]:
    return [0.0] * (units - units // 10) + [-1.0, 1.0] * (units // 20)


def test_the_loss_of_tango_is_seen_four_times_in_five() -> None:
    loss = detectable_flips(Flips(units=100, losses=5, wins=5), alpha=0.05)
    assert loss is not None
    draw, failed = random.Random(1), 0
    flipping = max(0.1, loss)
    for _ in range(600):
        fates = [draw.random() for _ in range(100)]
        losses = sum(fate < (flipping + loss) / 2 for fate in fates)
        wins = sum(fate > 1 - (flipping - loss) / 2 for fate in fates)
        failed += tango_interval(Flips(units=100, losses=losses, wins=wins), alpha=0.05)[1] < 0
    assert failed / 600 == pytest.approx(0.8, abs=0.05)


def test_the_loss_of_betting_is_seen_about_four_times_in_five() -> None:
    values = equal(200)
    loss = detectable_mean(values, alpha=0.05)
    assert loss is not None
    draw, failed = random.Random(1), 0
    for _ in range(300):
        seen = [-1.0 if draw.random() < loss else draw.choice(values) for _ in range(200)]
        failed += betting_p_value([-one for one in seen], margin=0, alpha=0.05, horizon=200) < 0.05
    assert failed / 300 == pytest.approx(0.8, abs=0.08)


def test_more_units_show_smaller_losses() -> None:
    by_flips = [detectable_flips(Flips(units=n, losses=n // 20, wins=n // 20), alpha=0.05) for n in (40, 100, 400)]
    by_mean = [detectable_mean(equal(n), alpha=0.05) for n in (40, 100, 400)]
    for losses in (by_flips, by_mean):
        known = [loss for loss in losses if loss is not None]
        assert len(known) == 3
        assert all(later < former for former, later in pairwise(known))


def test_a_stricter_alpha_shows_less() -> None:
    strict, usual = (detectable_mean(equal(100), alpha=alpha) for alpha in (0.01, 0.05))
    assert strict is not None
    assert usual is not None
    assert strict > usual


def test_one_unit_shows_nothing() -> None:
    assert detectable_flips(Flips(units=1, losses=0, wins=0), alpha=0.05) is None
    assert detectable_mean([0.0], alpha=0.05) is None


def test_extreme_differences_bear_it() -> None:
    for values in ([-1.0] * 50, [1.0] * 50, [-1.0] * 49 + [1.0], [0.0] * 2000):
        loss = detectable_mean(values, alpha=0.05)
        assert loss is not None
        assert 0 < loss <= 1


def test_no_differences_are_refused() -> None:
    with pytest.raises(Invalid):
        detectable_mean([], alpha=0.05)
