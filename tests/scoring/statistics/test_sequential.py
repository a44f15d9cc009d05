import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.sequential import decide_early, early_alpha, final_alpha


def flips(seed: int, units: int, losing: float, winning: float) -> list[float]:
    draw = random.Random(seed)
    return [-1.0 if (at := draw.random()) < losing else 1.0 if at > 1 - winning else 0.0 for _ in range(units)]


def test_alpha_is_split() -> None:
    assert early_alpha(0.05) == pytest.approx(0.01)
    assert final_alpha(0.05) == pytest.approx(0.04)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([(0.02, 0.02), (0.3, 0.05), (0.15, 0.05)]), st.integers(10, 60))
def test_a_resumed_run_decides_as_one_that_never_stopped(seed: int, chances: tuple[float, float], every: int) -> None:
    differences = flips(seed, 150, *chances)
    whole = decide_early(differences, margin=0.1, alpha=0.01)
    looks = [decide_early(differences[:seen], margin=0.1, alpha=0.01) for seen in range(every, 151, every)]
    decided = [look for look in looks if look is not None]
    if whole is None:
        assert decided == []
    else:
        assert all(look == whole for look in decided)
        assert decide_early(differences[: whole.after], margin=0.1, alpha=0.01) == whole
        assert decide_early(differences[: whole.after - 1], margin=0.1, alpha=0.01) is None


def test_a_better_and_a_worse_release_are_told_apart_early() -> None:
    better = decide_early([1.0] * 50 + [0.0] * 150, margin=0.1, alpha=0.01)
    worse = decide_early([-1.0] * 200, margin=0.1, alpha=0.01)
    assert better is not None
    assert (better.outcome, better.after < 20) == ("passed", True)
    assert worse is not None
    assert (worse.outcome, worse.after < 20) == ("failed", True)
    assert worse.test.upper < 0


def test_what_came_later_does_not_undo_it() -> None:
    found = decide_early([1.0] * 50, margin=0.1, alpha=0.01)
    assert found is not None
    assert decide_early([1.0] * 50 + [-1.0] * 500, margin=0.1, alpha=0.01) == found


def test_looking_after_every_unit_costs_no_more_than_alpha() -> None:
    wrong = [decide_early(flips(seed, 300, 0.15, 0.05), margin=0.1, alpha=0.05) for seed in range(300)]
    passed = sum(found is not None and found.outcome == "passed" for found in wrong)
    assert passed <= 0.05 * 300 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_nothing_seen_is_nothing_decided() -> None:
    assert decide_early([], margin=0.1, alpha=0.01) is None
    assert decide_early([-1.0, 1.0], margin=0.1, alpha=0.01) is None


def test_bad_values_are_refused() -> None:
    with pytest.raises(Invalid, match="nan"):
        decide_early([0.0, math.nan], margin=0.1, alpha=0.01)
