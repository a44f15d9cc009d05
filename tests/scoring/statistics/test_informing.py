import math
import random

import pytest
from scipy.stats import ttest_rel

from penstock.errors import Invalid
from penstock.scoring.statistics.informing import sign_flip_p_value, t_p_value
from penstock.scoring.statistics.mcnemar import mcnemar_exact


def test_t_alone_is_the_paired_t_test() -> None:
    draw = random.Random(2)
    before = [draw.random() for _ in range(20)]
    after = [one + draw.gauss(0.1, 0.2) for one in before]
    expected = ttest_rel(after, before).pvalue
    assert t_p_value([new - old for new, old in zip(after, before, strict=True)]) == pytest.approx(expected)


def test_clusters_weigh_repeated_cases_once() -> None:
    values = [0.3, -0.1, 0.2, 0.25, 0.1]
    once = t_p_value(values, ["a", "b", "c", "d", "e"])
    assert t_p_value(values * 20, ["a", "b", "c", "d", "e"] * 20) == pytest.approx(once, rel=0.05)
    assert t_p_value(values * 20) < once / 100


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [0.1, 0.1, 0.1]])
def test_t_without_spread_says_nothing(values: list[float]) -> None:
    assert t_p_value(values) == 1.0


def test_signs_of_flips_are_mcnemars_exact_test() -> None:
    assert sign_flip_p_value([1.0] * 9 + [-1.0] + [0.0] * 50) == pytest.approx(mcnemar_exact(9, 1))


def test_many_differences_are_sampled_with_a_seed() -> None:
    draw = random.Random(4)
    values = [draw.gauss(0.2, 1) for _ in range(60)]
    assert sign_flip_p_value(values) == sign_flip_p_value(values)
    assert sign_flip_p_value(values) == pytest.approx(t_p_value(values), abs=0.03)


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [1.0], [1.0, -1.0]])
def test_signs_without_evidence_say_nothing(values: list[float]) -> None:
    assert sign_flip_p_value(values) == 1.0


def test_no_number_is_refused() -> None:
    for values in ([], [math.nan]):
        with pytest.raises(Invalid):
            sign_flip_p_value(values)
        with pytest.raises(Invalid):
            t_p_value(values)
