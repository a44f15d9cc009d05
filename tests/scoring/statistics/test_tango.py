import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.tango import Flips, tango_interval, tango_p_value, tango_z


@st.composite
def tables(draw: st.DrawFn) -> Flips:
    units = draw(st.integers(1, 400))
    losses = draw(st.integers(0, units))
    return Flips(units=units, losses=losses, wins=draw(st.integers(0, units - losses)))


def test_the_published_example() -> None:
    # Tango (1998): 44 patients, of whom one was better off with the old way alone.
    flips = Flips(units=44, losses=1, wins=0)
    assert tango_z(flips, margin=0.1) == pytest.approx(1.70856, abs=1e-5)
    assert tango_p_value(flips, margin=0.1) == pytest.approx(0.043766, abs=1e-6)


def test_a_win_counts_for_the_candidate() -> None:
    assert tango_z(Flips(units=44, losses=0, wins=1), margin=0.1) > tango_z(
        Flips(units=44, losses=1, wins=0), margin=0.1
    )


def test_sixty_cases_are_too_few_for_a_margin_of_five_percent() -> None:
    lower, _ = tango_interval(Flips(units=60, losses=1, wins=1), alpha=0.05)
    assert lower < -0.05
    assert tango_interval(Flips(units=200, losses=4, wins=4), alpha=0.05)[0] > -0.05
    assert tango_interval(Flips(units=60, losses=3, wins=3), alpha=0.05)[0] > -0.1


@pytest.mark.parametrize("units", [1, 30, 1000])
def test_without_a_flip_the_bounds_are_those_of_the_closed_form(units: int) -> None:
    z2 = 1.6448536269514722**2  # Z = sqrt(n d / (1 - d)) there
    lower, upper = tango_interval(Flips(units=units, losses=0, wins=0), alpha=0.05)
    assert upper == pytest.approx(z2 / (units + z2), abs=1e-12)
    assert lower == -upper


def test_at_the_edges_nothing_breaks() -> None:
    all_lost, all_won = Flips(units=10, losses=10, wins=0), Flips(units=10, losses=0, wins=10)
    assert tango_interval(all_lost, alpha=0.05)[0] == -1
    assert tango_interval(all_won, alpha=0.05)[1] == 1
    assert tango_p_value(all_lost, margin=1) == 0.5  # the only table that this hypothesis allows
    assert tango_p_value(all_won, margin=1) == 0
    assert tango_p_value(all_lost, margin=1e-9) == pytest.approx(1, abs=1e-3)
    assert tango_z(Flips(units=10, losses=0, wins=0), margin=0) == 0


@settings(deadline=None)
@given(tables(), st.floats(0.001, 0.4))
def test_the_interval_encloses_what_was_seen_and_mirrors(flips: Flips, alpha: float) -> None:
    lower, upper = tango_interval(flips, alpha=alpha)
    assert -1 <= lower <= flips.difference <= upper <= 1
    assert tango_interval(flips.mirrored(), alpha=alpha) == (-upper, -lower)


@settings(deadline=None)
@given(tables(), st.lists(st.floats(-1, 1), min_size=2, max_size=5))
def test_the_statistic_never_falls_as_the_margin_rises(flips: Flips, margins: list[float]) -> None:
    found = [tango_z(flips, margin=margin) for margin in sorted(margins)]
    assert all(
        later >= former or math.isclose(later, former, rel_tol=1e-6, abs_tol=1e-6) for former, later in pairwise(found)
    )


@settings(deadline=None)
@given(tables(), st.floats(0.01, 1), st.floats(0.01, 0.4))
def test_bound_and_p_say_the_same(flips: Flips, margin: float, alpha: float) -> None:
    lower, _ = tango_interval(flips, alpha=alpha)
    if abs(lower + margin) > 1e-9:
        assert (tango_p_value(flips, margin=margin) < alpha) == (lower > -margin)


@settings(deadline=None)
@given(tables(), st.integers(2, 5))
def test_more_of_the_same_narrows_the_interval(flips: Flips, times: int) -> None:
    more = Flips(units=flips.units * times, losses=flips.losses * times, wins=flips.wins * times)
    lower, upper = tango_interval(flips, alpha=0.05)
    narrower = tango_interval(more, alpha=0.05)
    assert narrower[0] >= lower - 1e-9
    assert narrower[1] <= upper + 1e-9


def test_the_most_likely_share_solves_the_score_equation() -> None:
    # The derivative of the likelihood is zero at the share of wins under the margin; the statistic shows it.
    flips, margin = Flips(units=50, losses=7, wins=4), 0.1
    above = flips.wins - flips.losses + flips.units * margin
    variance = (above / tango_z(flips, margin=margin)) ** 2 / flips.units
    wins = (variance - margin * (1 - margin)) / 2
    ties = flips.units - flips.wins - flips.losses
    slope = flips.wins / wins + flips.losses / (wins + margin) - 2 * ties / (1 - 2 * wins - margin)
    assert math.isclose(slope, 0, abs_tol=1e-6)


@pytest.mark.parametrize(("units", "losses", "wins"), [(0, 0, 0), (3, 2, 2), (3, -1, 0)])
def test_impossible_tables_are_refused(units: int, losses: int, wins: int) -> None:
    with pytest.raises(Invalid):
        Flips(units=units, losses=losses, wins=wins)


@pytest.mark.parametrize("margin", [0, -0.1, 1.1, math.nan])
def test_impossible_margins_are_refused(margin: float) -> None:
    with pytest.raises(Invalid, match="margin"):
        tango_p_value(Flips(units=3, losses=0, wins=0), margin=margin)
