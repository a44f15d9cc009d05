import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.betting import betting_p_value, betting_test, log_capital

DIFFERENCES = st.lists(st.floats(-1, 1), min_size=1, max_size=60)


def flips(seed: int, units: int, losing: float, winning: float) -> list[float]:
    draw = random.Random(seed)
    return [-1.0 if (at := draw.random()) < losing else 1.0 if at > 1 - winning else 0.0 for _ in range(units)]


@settings(max_examples=40, deadline=None)
@given(DIFFERENCES, st.floats(0.01, 1), st.floats(0.01, 0.4))
def test_the_interval_encloses_what_was_seen_and_agrees_with_p(
    differences: list[float], margin: float, alpha: float
) -> None:
    found = betting_test(differences, margin=margin, alpha=alpha)
    assert -1 <= found.lower <= found.difference <= found.upper <= 1
    assert 0 <= found.p_value <= 1
    if abs(found.lower + margin) > 1e-9 and abs(found.p_value - alpha) > 1e-9:
        assert (found.p_value < alpha) == (found.lower > -margin)


@settings(max_examples=40, deadline=None)
@given(DIFFERENCES)
def test_candidate_and_baseline_change_over(differences: list[float]) -> None:
    found = betting_test(differences, margin=0.1, alpha=0.05)
    mirrored = betting_test([-one for one in differences], margin=0.1, alpha=0.05)
    assert mirrored.lower == pytest.approx(-found.upper, abs=1e-9)
    assert mirrored.upper == pytest.approx(-found.lower, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(DIFFERENCES, st.lists(st.floats(0.001, 1), min_size=2, max_size=5))
def test_a_wider_margin_never_makes_it_harder(differences: list[float], margins: list[float]) -> None:
    found = [betting_test(differences, margin=margin, alpha=0.05).p_value for margin in sorted(margins)]
    assert all(later <= former + 1e-12 for former, later in pairwise(found))


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.data())
def test_no_bet_knows_what_comes(differences: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(differences) - 1))
    whole = list(log_capital(differences, null=-0.1, alpha=0.05, horizon=50))
    part = list(log_capital(differences[:cut], null=-0.1, alpha=0.05, horizon=50))
    assert whole[:cut] == part


@settings(deadline=None)
@given(st.floats(-1, 1), st.integers(0, 30), st.floats(-0.99, 0.99))
def test_a_bet_is_fair_under_the_hypothesis(before: float, times: int, null: float) -> None:
    # The next unit is 1 or -1 such that its mean is the null: then the capital is expected to stay what it is.
    history = [before] * times
    winning = (null + 1) / 2
    start = ([0.0, *log_capital(history, null=null, alpha=0.05, horizon=40)])[-1]
    after = {end: list(log_capital([*history, end], null=null, alpha=0.05, horizon=40))[-1] for end in (1.0, -1.0)}
    expected = winning * math.exp(after[1.0] - start) + (1 - winning) * math.exp(after[-1.0] - start)
    assert expected == pytest.approx(1)


def test_wrong_passes_at_the_margin_are_rare_and_right_ones_are_not() -> None:
    wrong = [betting_p_value(flips(seed, 100, 0.15, 0.05), margin=0.1, alpha=0.05, horizon=100) for seed in range(400)]
    right = [betting_p_value(flips(seed, 100, 0.05, 0.05), margin=0.1, alpha=0.05, horizon=100) for seed in range(400)]
    assert sum(p < 0.05 for p in wrong) <= 0.05 * 400 + 3 * math.sqrt(400 * 0.05 * 0.95)
    assert sum(p < 0.05 for p in right) >= 0.68 * 400 - 3 * math.sqrt(400 * 0.68 * 0.32)


def test_power_for_equal_versions_of_sixty_and_five_hundred_cases() -> None:
    small = [betting_p_value(flips(seed, 60, 0.05, 0.05), margin=0.1, alpha=0.05, horizon=60) for seed in range(400)]
    large = [betting_p_value(flips(seed, 500, 0.05, 0.05), margin=0.1, alpha=0.05, horizon=500) for seed in range(60)]
    assert sum(p < 0.05 for p in small) >= 0.40 * 400
    assert sum(p < 0.05 for p in large) == 60


def test_one_unit_says_next_to_nothing() -> None:
    found = betting_test([-1.0], margin=0.1, alpha=0.05)
    assert found.lower == -1
    assert found.upper > 0
    assert found.p_value == 1


def test_the_edges_of_the_range_bear_it() -> None:
    assert betting_test([1.0] * 100, margin=1, alpha=0.05).p_value < 1e-9
    lost = betting_test([-1.0] * 1000, margin=0.1, alpha=0.05)
    assert lost.lower == -1
    assert lost.upper < -0.9
    assert lost.p_value == 1


def test_a_lucky_beginning_does_not_pass_what_ended_below() -> None:
    found = betting_test([1.0] * 60 + [-1.0] * 200, margin=0.1, alpha=0.05)
    assert found.difference < -0.1
    assert found.p_value == 1
    assert found.lower <= found.difference


@pytest.mark.parametrize("differences", [[], [math.nan], [1.5], [-math.inf], [0.0, 2.0]])
def test_what_is_no_difference_is_refused(differences: list[float]) -> None:
    with pytest.raises(Invalid, match="difference"):
        betting_test(differences, margin=0.1, alpha=0.05)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, -0.1, math.nan])
def test_what_is_no_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(Invalid, match="alpha"):
        betting_test([0.0], margin=0.1, alpha=alpha)
