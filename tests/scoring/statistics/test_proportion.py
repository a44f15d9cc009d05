import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.proportion import wilson_interval


def test_ten_of_ten_is_not_certain() -> None:
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 500), st.data())
def test_it_encloses_the_share(units: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, units))
    lower, upper = wilson_interval(successes, units)
    assert 0 <= lower <= successes / units <= upper <= 1


@pytest.mark.parametrize(("successes", "units"), [(0, 0), (3, 2), (-1, 4)])
def test_what_is_no_share_is_refused(successes: int, units: int) -> None:
    with pytest.raises(Invalid, match="no share"):
        wilson_interval(successes, units)
