import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.noise import noise_floor


def test_an_agent_that_repeated_itself_in_eight_of_fifty() -> None:
    found = noise_floor([0.0] * 8 + [1.0] * 42)
    assert (found.share, found.pairs) == (0.84, 50)
    assert (found.lower, found.upper) == pytest.approx((0.7149, 0.9166), abs=1e-4)


def test_a_few_pairs_are_not_certain() -> None:
    for values in ([0.0, 0.0, 0.0], [0.2, 0.2, 0.2]):
        found = noise_floor(values)
        assert found.upper > 0.4
        assert found.share == pytest.approx(values[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_interval_encloses_the_share(values: list[float]) -> None:
    found = noise_floor(values)
    assert 0 <= found.lower <= found.share + 1e-12
    assert found.share - 1e-12 <= found.upper <= 1
    assert set(found.as_document()) == {"share", "lower", "upper", "pairs"}


@pytest.mark.parametrize("values", [[], [math.nan], [1.01], [-0.1]])
def test_what_is_no_disagreement_is_refused(values: list[float]) -> None:
    with pytest.raises(Invalid, match="disagreement"):
        noise_floor(values)
