import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.multiplicity import holm


def test_the_smallest_of_four_counts_four_times() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_correction_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(before <= after + 1e-12 and after <= 1 for before, after in zip(p_values, corrected, strict=True))
    ranked = [after for _, after in sorted(zip(p_values, corrected, strict=True))]
    assert ranked == pytest.approx(sorted(ranked))


@pytest.mark.parametrize("p_values", [[], [math.nan], [1.2]])
def test_what_is_no_p_value_is_refused(p_values: list[float]) -> None:
    with pytest.raises(Invalid, match="p-value"):
        holm(p_values)
