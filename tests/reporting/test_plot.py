import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.reporting.plot import (
    BINS,
    HEIGHT,
    INSET,
    WIDTH,
    difference_plot,
    difference_span,
    histogram,
    ratio_plot,
    win_bar,
)

FINITE = st.floats(-1, 1)


def test_zero_is_in_the_middle_and_better_is_to_the_right() -> None:
    plot = difference_plot(0.1, 0.05, 0.15, 0.05, 0.2)
    assert plot is not None
    assert plot.middle == WIDTH / 2
    assert plot.limit is not None
    assert plot.limit < plot.middle < plot.lower < plot.point < plot.upper
    assert plot.label == "Difference +0.100, interval +0.050 to +0.150, margin −0.050"


@given(st.tuples(FINITE, FINITE, FINITE).map(sorted))
def test_marks_stay_inside_and_in_order(numbers: list[float]) -> None:
    lower, point, upper = numbers
    plot = difference_plot(point, lower, upper, None, difference_span(numbers))
    assert plot is not None
    assert INSET <= plot.lower <= plot.point <= plot.upper <= WIDTH - INSET


@pytest.mark.parametrize("numbers", [(None, 0.0, 0.1), (0.0, None, 0.1), (0.0, 0.1, math.nan), (math.inf, 0.0, 0.1)])
def test_without_an_interval_there_is_no_plot(numbers: tuple[float | None, float | None, float | None]) -> None:
    point, lower, upper = numbers
    assert difference_plot(point, lower, upper, None, 1.0) is None
    assert ratio_plot(point, lower, upper) is None


def test_ratios_are_on_a_logarithmic_axis() -> None:
    twice, half = ratio_plot(2.0, 1.9, 2.1, 0.1), ratio_plot(0.5, 0.47, 0.53)
    assert twice is not None
    assert half is not None
    assert twice.point > twice.middle > half.point
    assert twice.limit is not None
    assert twice.middle < twice.limit < twice.lower
    assert twice.label == "Ratio ×2.00, interval ×1.90 to ×2.10, at most ×1.10"


def test_a_bar_has_the_shares_of_its_cases() -> None:
    bar = win_bar(30, 10, 60)
    assert bar is not None
    assert (bar.losses, bar.ties, bar.wins) == (22.0, 132.0, 66.0)
    assert bar.label == "30 won, 10 lost, 60 tied against production"
    assert win_bar(0, 0, 0) is None
    assert win_bar(None, None, None) is None


@given(st.lists(st.floats(0.001, 1e6), min_size=2), st.lists(st.floats(0.001, 1e6)), st.booleans())
def test_histograms_count_every_value(candidate: list[float], baseline: list[float], logarithmic: bool) -> None:
    plot = histogram(candidate, baseline, logarithmic=logarithmic)
    assert plot is not None
    assert len(plot.candidate) == len(plot.baseline) == BINS
    assert max(*plot.candidate, *plot.baseline) == HEIGHT
    assert any(plot.candidate)
    assert any(plot.baseline) == bool(baseline)
    assert (plot.lowest, plot.highest) == (min(candidate + baseline), max(candidate + baseline))


def test_values_that_no_axis_has_are_left_out() -> None:
    plot = histogram([0.0, math.nan, math.inf, 2.0], [4.0], logarithmic=True)
    assert plot is not None
    assert (plot.lowest, plot.highest) == (2.0, 4.0)
    assert histogram([1.0], [], logarithmic=False) is None
