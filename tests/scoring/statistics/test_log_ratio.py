import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.log_ratio import log_ratio

AMOUNTS = st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)), min_size=2, max_size=7)


def test_two_pairs_by_hand() -> None:
    found = log_ratio([1.0, 1.0], [2.0, 8.0], alpha=0.05)
    assert found.ratio == pytest.approx(4)
    reach = 6.313751515 * math.log(2)  # t with one degree of freedom, times the standard error
    assert math.log(found.upper) == pytest.approx(math.log(4) + reach)
    assert math.log(found.lower) == pytest.approx(math.log(4) - reach)


@settings(max_examples=50, deadline=None)
@given(AMOUNTS)
def test_sides_change_over_and_units_do_not_matter(pairs: list[tuple[float, float]]) -> None:
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found, mirrored = log_ratio(before, after, alpha=0.05), log_ratio(after, before, alpha=0.05)
    assert found.lower <= found.ratio <= found.upper
    assert mirrored.ratio == pytest.approx(1 / found.ratio, rel=1e-9)
    assert math.log(mirrored.lower) == pytest.approx(-math.log(found.upper), abs=1e-6)
    cents = log_ratio([100 * one for one in before], [100 * one for one in after], alpha=0.05)
    assert cents.ratio == pytest.approx(found.ratio, rel=1e-9)


def test_all_changed_alike_is_certain() -> None:
    found = log_ratio([0.3, 7.0, 1e-5], [0.33, 7.7, 1.1e-5], alpha=0.05)
    assert (found.lower, found.ratio, found.upper) == pytest.approx((1.1, 1.1, 1.1))


def test_one_unit_has_no_spread() -> None:
    found = log_ratio([1.0, 1.0, 2.0], [1.0, 3.0, 2.0], alpha=0.05, clusters=["a", "a", "a"])
    assert (found.units, found.lower, found.upper) == (1, 0.0, math.inf)


def test_a_few_far_ones_widen_the_interval_upwards() -> None:
    after = [1.0] * 27 + [20.0] * 3
    found = log_ratio([1.0] * 30, after, alpha=0.05)
    logs = [math.log(one) for one in after]
    mean = math.fsum(logs) / 30
    error = math.sqrt(math.fsum((one - mean) ** 2 for one in logs) / 29 / 30)
    assert math.log(found.upper) > mean + 1.69913 * error + 0.01  # more than t alone
    assert log_ratio([1.0] * 30, after, alpha=0.05) == found


def test_clusters_count_once() -> None:
    draw = random.Random(3)
    before = [1.0] * 12
    after = [math.exp(draw.gauss(0, 1)) for _ in range(12)]
    once = log_ratio(before, after, alpha=0.05, clusters=list(range(12)))
    tenfold = log_ratio(before * 10, after * 10, alpha=0.05, clusters=list(range(12)) * 10)
    assert tenfold.upper == pytest.approx(once.upper)
    assert tenfold.units == 12


def test_nothing_on_both_sides_is_no_change_and_is_counted() -> None:
    found = log_ratio([0.0, 0.0, 1.0], [0.0, 0.0, 1.0], alpha=0.05)
    assert (found.ratio, found.unchanged, found.units) == (1.0, 2, 3)


@pytest.mark.parametrize(
    ("before", "after"),
    [([], []), ([1.0], []), ([0.0], [1.0]), ([1.0], [0.0]), ([-1.0], [1.0]), ([math.nan], [1.0]), ([1.0], [math.inf])],
)
def test_what_has_no_ratio_is_refused(before: list[float], after: list[float]) -> None:
    with pytest.raises(Invalid):
        log_ratio(before, after, alpha=0.05)
