import math
import random

import krippendorff
import pytest

from penstock.errors import Invalid
from penstock.scoring.statistics.agreement import cohen_kappa, krippendorff_alpha


def rated(seed: int, units: int) -> tuple[list[float], list[float]]:
    draw = random.Random(seed)
    people = [draw.random() for _ in range(units)]
    return people, [min(1.0, max(0.0, one + draw.gauss(0, 0.2))) for one in people]


def test_kappa_of_fifty_grant_proposals() -> None:
    # Both yes 20, both no 15, only the first yes 5, only the second 10: observed 0.7, by chance 0.5.
    first = [True] * 20 + [False] * 15 + [True] * 5 + [False] * 10
    second = [True] * 20 + [False] * 15 + [False] * 5 + [True] * 10
    found = cohen_kappa(first, second)
    assert found.value == pytest.approx(0.4)
    assert (found.lower, found.upper) == pytest.approx((0.1511, 0.6489), abs=1e-4)
    assert found.units == 50


def test_words_may_be_more_than_two() -> None:
    found = cohen_kappa(["good", "bad", "unclear", "good"], ["good", "bad", "good", "good"])
    assert 0 < found.value < 1
    assert found.as_document()["statistic"] == "kappa"


@pytest.mark.parametrize("units", [2, 5, 40])
def test_alpha_is_that_of_the_package(units: int) -> None:
    people, judge = rated(units, units)
    expected = krippendorff.alpha(reliability_data=[people, judge], level_of_measurement="interval")
    assert krippendorff_alpha(people, judge).value == pytest.approx(expected)


def test_the_interval_of_alpha_is_seeded_encloses_it_and_narrows() -> None:
    small, large = krippendorff_alpha(*rated(1, 30)), krippendorff_alpha(*rated(1, 300))
    for found in (small, large):
        assert found.lower <= found.value <= found.upper <= 1
    assert large.upper - large.lower < small.upper - small.lower
    assert krippendorff_alpha(*rated(1, 30)) == small


def test_full_agreement_on_a_few_is_no_certainty() -> None:
    for found in (cohen_kappa("aab", "aab"), krippendorff_alpha([1, 2, 3], [1, 2, 3])):
        assert (found.value, found.upper) == (1.0, 1.0)
        assert found.lower < 0.5


def test_opposite_raters_are_below_chance() -> None:
    assert cohen_kappa([True, False] * 10, [False, True] * 10).value == pytest.approx(-1)
    assert krippendorff_alpha([0, 1] * 10, [1, 0] * 10).value < -0.9


def test_a_judge_with_one_answer_agrees_as_by_chance() -> None:
    assert cohen_kappa([True] * 9 + [False], [True] * 10).value == 0


@pytest.mark.parametrize(("first", "second"), [("", ""), ("a", "a"), ("ab", "a"), ("aaa", "aaa")])
def test_undefined_kappa_is_refused(first: str, second: str) -> None:
    with pytest.raises(Invalid, match="rating"):
        cohen_kappa(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([1.0, 1.0], [1.0, 1.0]), ([1.0, math.nan], [1.0, 2.0])],
)
def test_undefined_alpha_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(Invalid, match="rating"):
        krippendorff_alpha(first, second)
