import pytest

from penstock.errors import Invalid
from penstock.scoring.statistics.sample_size import days_to_prove, units_to_prove


def test_the_reference_case() -> None:
    # 99 % success, a margin of one point, 1 % weight, 80 % power: about 620.
    assert units_to_prove(loss=0.01, margin=0.01, share=0.01, alpha=0.05) == 619


def test_an_even_split_needs_twice_as_many_of_each() -> None:
    assert units_to_prove(loss=0.01, margin=0.01, share=0.5, alpha=0.05) == 1225


def test_it_agrees_with_the_power_of_the_normal_test() -> None:
    from statsmodels.stats.power import NormalIndPower

    needed = units_to_prove(loss=0.05, margin=0.02, share=0.25, alpha=0.05)
    effect = 0.02 / (0.05 * 0.95) ** 0.5
    power = NormalIndPower().power(effect, nobs1=needed, alpha=0.05, ratio=3, alternative="larger")
    assert power == pytest.approx(0.8, abs=0.002)


def test_what_never_fails_takes_as_many_as_would_have_shown_the_margin() -> None:
    needed = units_to_prove(loss=0.0, margin=0.01, share=0.01, alpha=0.05)
    assert needed == units_to_prove(loss=0.001, margin=0.01, share=0.01, alpha=0.05)
    assert 0.99**needed <= 0.05 < 0.99 ** (needed - 1)


def test_days() -> None:
    assert days_to_prove(619, share=0.01, sessions_a_day=10_000) == pytest.approx(6.19)
    assert days_to_prove(619, share=0.01, sessions_a_day=0) is None


@pytest.mark.parametrize(
    "wrong", [{"loss": -0.1}, {"loss": 1.0}, {"share": 0.0}, {"share": 1.0}, {"margin": 0.0}, {"margin": 1.0}]
)
def test_what_has_no_number_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        units_to_prove(**{"loss": 0.01, "margin": 0.01, "share": 0.1, "alpha": 0.05, **wrong})
