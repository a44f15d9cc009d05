import math
import random
from typing import Any

import pytest

from penstock.contracts.dataset import DriftCheck
from penstock.scoring.datasets.drift import column_distance, drift_rows


def cases(*values: Any) -> list[dict[str, Any]]:
    return [{"id": str(at), "input": {"x": value}} for at, value in enumerate(values)]


def tagged(*tags: list[str]) -> list[dict[str, Any]]:
    return [{"id": str(at), "input": 1, "tags": each} for at, each in enumerate(tags)]


def test_numbers_are_compared_by_the_greatest_distance_of_their_distributions() -> None:
    found = column_distance("input.x", cases(*range(10)), cases(*range(5, 15)))
    assert found is not None
    assert (found.statistic, found.value, found.now, found.before) == ("ks", 0.5, 10, 10)
    same = column_distance("input.x", cases(*range(10)), cases(*reversed(range(10))))
    assert same is not None
    assert (same.value, same.p_value) == (0.0, 1.0)


def test_words_are_compared_by_the_stability_index() -> None:
    # 30 and 10 against 20 and 20, half a count added to each: 10/41 * (ln(30.5/20.5) - ln(10.5/20.5))
    found = column_distance("input.x", cases(*["a"] * 30, *["b"] * 10), cases(*["a"] * 20, *["b"] * 20))
    assert found is not None
    assert found.statistic == "psi"
    assert found.value == pytest.approx(10 / 41 * math.log(30.5 / 10.5), rel=1e-12)
    assert found.p_value == pytest.approx(0.0209, abs=0.0005)


def test_a_new_word_is_no_infinite_distance() -> None:
    found = column_distance("input.x", cases(*["a"] * 9, "b"), cases(*["a"] * 10))
    assert found is not None
    assert 0 < found.value < 0.5


def test_long_texts_are_compared_by_length_and_lists_by_size() -> None:
    texts = column_distance("input.x", cases(*(f"{at}" * 9 for at in range(30))), cases(*(f"{at}" for at in range(30))))
    lists = column_distance("input.x", cases(*[[1, 2]] * 6), cases(*[[1]] * 6))
    assert texts is not None
    assert lists is not None
    assert (texts.statistic, texts.value > 0.6, lists.statistic, lists.value) == ("ks", True, "ks", 1.0)


def test_tags_are_compared_by_how_often_each_is_used() -> None:
    found = column_distance("tags", tagged(*[["a", "b"]] * 10), tagged(*[["a"]] * 10))
    assert found is not None
    assert (found.statistic, found.now, found.before) == ("psi", 20, 10)
    assert found.value > 0.5


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (cases(1, 2, 3), cases(*range(30))),
        (cases(*range(30)), cases()),
        (cases(*range(10)), cases(*"abcdefghij")),
        (cases(*[{"a": 1}] * 10), cases(*[{"a": 1}] * 10)),
        (tagged(*[[]] * 10), tagged(*[["a"]] * 10)),
    ],
)
def test_too_few_values_or_several_kinds_have_no_distance(now: list[Any], before: list[Any]) -> None:
    column = "tags" if "tags" in now[0] else "input.x"
    assert column_distance(column, now, before) is None


def test_a_declared_column_that_cannot_be_compared_is_said() -> None:
    check = DriftCheck.model_validate({"columns": ["input.x"], "maxKs": 0.2})
    [row] = drift_rows(check, cases(1, 2), cases(*range(30)))
    assert (row.outcome, row.column, row.observed) == (
        "not judged",
        "input.x",
        "fewer than 5 values that can be compared",
    )
    assert drift_rows(DriftCheck.model_validate({}), cases(1, 2), cases(*range(30))) == []


def test_two_samples_of_one_distribution_rarely_look_apart() -> None:
    chance = random.Random(7)
    small = 0
    for _ in range(200):
        now, before = ([chance.gauss(0, 1) for _ in range(60)] for _ in range(2))
        found = column_distance("input.x", cases(*now), cases(*before))
        assert found is not None
        small += found.p_value < 0.05
    assert small <= 20
