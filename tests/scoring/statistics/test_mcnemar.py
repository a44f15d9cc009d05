import pytest

from penstock.errors import Invalid
from penstock.scoring.statistics.mcnemar import mcnemar_chi2, mcnemar_exact, mcnemar_mid_p


def test_reference_values() -> None:
    statistic, p_value = mcnemar_chi2(121, 59)  # of [[101, 121], [59, 33]]
    assert statistic == pytest.approx(20.67222, abs=1e-5)
    assert p_value == pytest.approx(5.450095e-06, rel=1e-6)
    assert mcnemar_exact(9, 1) == pytest.approx(0.021484375, abs=1e-12)
    assert mcnemar_mid_p(1, 7) == pytest.approx(0.0390625, abs=1e-12)


@pytest.mark.parametrize(("losses", "wins"), [(0, 0), (3, 3), (1, 7), (40, 2)])
def test_either_side_may_be_the_candidate(losses: int, wins: int) -> None:
    assert mcnemar_exact(losses, wins) == mcnemar_exact(wins, losses)
    assert mcnemar_mid_p(losses, wins) == pytest.approx(mcnemar_mid_p(wins, losses), abs=1e-12)
    assert 0 <= mcnemar_mid_p(losses, wins) <= mcnemar_exact(losses, wins) <= 1


def test_no_flip_is_no_difference() -> None:
    assert (mcnemar_exact(0, 0), mcnemar_mid_p(0, 0), mcnemar_chi2(0, 0)) == (1.0, 1.0, (0.0, 1.0))


def test_mid_p_of_equal_flips_is_one_less_its_own_chance() -> None:
    assert mcnemar_mid_p(1, 1) == pytest.approx(0.5)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(Invalid):
        mcnemar_mid_p(-1, 2)
