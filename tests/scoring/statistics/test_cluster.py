import random
from statistics import stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.cluster import closed_units, clustered_standard_error, group_means

GROUPED = st.lists(st.tuples(st.floats(-1, 1), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=30)


def test_reference_value_of_the_clustered_error() -> None:
    error = clustered_standard_error([float(at) for at in range(20)], [at % 4 for at in range(20)])
    assert error == pytest.approx(0.645, abs=5e-4)


def test_alone_it_is_the_usual_error() -> None:
    values = [random.Random(1).gauss(0, 1) for _ in range(3)] + [4.0, -2.5]
    error = clustered_standard_error(values, [None] * 5)
    assert error == pytest.approx(stdev(values) / 5**0.5)


def test_repeated_values_do_not_shrink_the_error() -> None:
    values, clusters = [0.0, 1.0, 0.5, 0.25], ["a", "b", "c", "d"]
    once = clustered_standard_error(values, clusters)
    assert clustered_standard_error(values * 10, clusters * 10) == pytest.approx(once, rel=0.01)


def test_means_keep_the_order_and_leave_the_lonely_alone() -> None:
    assert group_means([1, 0, 0, 1, 0.5], ["b", None, "a", "b", None]) == [1, 0, 0, 0.5]


@settings(deadline=None, max_examples=40)
@given(GROUPED, st.data())
def test_what_is_closed_stays_as_it_was(pairs: list[tuple[float, str | None]], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(pairs)))
    whole = list(closed_units([value for value, _ in pairs], [group for _, group in pairs]))
    part = list(closed_units([value for value, _ in pairs[:cut]], [group for _, group in pairs[:cut]]))
    assert whole[: len(part)] == part
    assert all(unit.seen <= len(pairs) for unit in whole)


def test_a_cluster_counts_once_and_only_when_it_is_over() -> None:
    values, clusters = [1.0, 0.0, 0.5, 1.0, 0.0], ["a", "a", None, "a", "b"]
    assert [(unit.value, unit.seen) for unit in closed_units(values, clusters)] == [(0.5, 2), (0.5, 3)]


def test_one_cluster_has_no_error() -> None:
    with pytest.raises(Invalid, match="one cluster"):
        clustered_standard_error([1.0, 0.0], ["a", "a"])


def test_each_value_has_its_group() -> None:
    with pytest.raises(Invalid, match="2 values of 1 groups"):
        group_means([1.0, 0.0], ["a"])
