import json
import math
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid, Unavailable
from penstock.scoring.statistics.decide import Pair, compare, compare_ratio, has_settled
from penstock.scoring.statistics.order import unit_order


def pairs(values: Sequence[tuple[float, float]], clusters: Sequence[str | None] = ()) -> list[Pair]:
    """Baseline and candidate of case-0, case-1, ..."""
    return [
        Pair(unit=f"case-{at}", cluster=clusters[at] if clusters else None, baseline=before, candidate=after)
        for at, (before, after) in enumerate(values)
    ]


def flips(units: int, losses: int, wins: int) -> list[tuple[float, float]]:
    return [(1.0, 0.0)] * losses + [(0.0, 1.0)] * wins + [(1.0, 1.0)] * (units - losses - wins)


def in_fives(units: int) -> list[str]:
    return [f"cluster-{at // 5}" for at in range(units)]


VALUES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25)
BITS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("table", "margin", "outcome"),
    [
        ((60, 1, 1), 0.05, "inconclusive"),
        ((60, 1, 1), 0.10, "passed"),
        ((200, 4, 4), 0.05, "passed"),
        ((60, 12, 1), 0.10, "failed"),
        ((500, 20, 2), 0.10, "failed"),  # worse for certain, be it by less than the margin
        ((60, 0, 12), 0.05, "passed"),
        ((1, 0, 0), 0.10, "inconclusive"),
    ],
)
def test_verdicts_of_yes_and_no(table: tuple[int, int, int], margin: float, outcome: str) -> None:
    found = compare(pairs(flips(*table)), margin=margin)
    assert (found.method, found.outcome) == ("tango", outcome)
    assert (found.units, found.losses, found.wins, found.ties) == (*table, table[0] - table[1] - table[2])


def test_clusters_and_scores_are_bet_on() -> None:
    clustered = compare(pairs(flips(300, 15, 15), in_fives(300)), margin=0.1)
    assert (clustered.method, clustered.units) == ("betting", 60)
    assert (clustered.losses, clustered.wins, clustered.ties) == (15, 15, 270)
    assert set(clustered.informing) == {"t", "signFlip"}
    scored = compare(pairs([(0.8, 0.79), (0.5, 0.52)] * 50), margin=0.1)
    assert (scored.method, scored.outcome) == ("betting", "passed")


def test_clusters_of_one_case_each_are_none() -> None:
    found = compare(pairs(flips(50, 2, 2), [f"own-{at}" for at in range(50)]), margin=0.1)
    assert found.method == "tango"
    assert set(found.informing) == {"mcnemarExact", "mcnemarMidP", "t", "signFlip"}


def test_one_fate_of_five_cases_is_not_five_cases() -> None:
    # Sixteen of 100 flips look certain; they are two clusters of 20.
    values = [(1.0, 0.0)] * 10 + [(1.0, 1.0)] * 90
    assert compare(pairs(values), margin=0.1).outcome == "failed"
    assert compare(pairs(values, in_fives(100)), margin=0.1).outcome == "inconclusive"


@settings(max_examples=40, deadline=None)
@given(st.one_of(VALUES, BITS), st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_the_order_is_of_no_account_and_the_interval_encloses(
    values: list[tuple[float, float]], shuffling: random.Random, early: bool, clustered: bool
) -> None:
    given_pairs = pairs(values, in_fives(len(values)) if clustered else ())
    shuffled = list(given_pairs)
    shuffling.shuffle(shuffled)
    found = compare(given_pairs, margin=0.1, early_stop=early)
    assert compare(shuffled, margin=0.1, early_stop=early) == found
    assert found.lower <= found.difference <= found.upper
    expected = "failed" if found.upper < 0 else "passed" if found.lower > -0.1 else "inconclusive"
    assert found.outcome == expected


@settings(max_examples=30, deadline=None)
@given(st.one_of(VALUES, BITS), st.floats(0.01, 0.5), st.floats(0, 0.5))
def test_a_wider_margin_never_takes_a_pass_away(values: list[tuple[float, float]], margin: float, more: float) -> None:
    narrow, wide = (compare(pairs(values), margin=one) for one in (margin, margin + more))
    assert wide.p_value <= narrow.p_value + 1e-12
    if narrow.outcome == "passed":
        assert wide.outcome == "passed"


@settings(max_examples=30, deadline=None)
@given(BITS)
def test_sides_change_over(values: list[tuple[float, float]]) -> None:
    found = compare(pairs(values), margin=0.1)
    mirrored = compare(pairs([(after, before) for before, after in values]), margin=0.1)
    assert (mirrored.lower, mirrored.upper, mirrored.wins) == (-found.upper, -found.lower, found.losses)


def test_an_early_decision_stays_when_more_cases_come() -> None:
    ordered = sorted(pairs(flips(400, 0, 200)), key=lambda pair: unit_order(pair.unit))
    looks = {seen: compare(ordered[:seen], margin=0.1, early_stop=True) for seen in (25, 50, 200, 400)}
    decided = [look for look in looks.values() if look.early]
    assert len(decided) == 4
    assert len({(look.outcome, look.units, look.lower, look.upper) for look in decided}) == 1
    assert decided[0].alpha == pytest.approx(0.01)
    assert f"decided after {decided[0].units} of 25 cases" in decided[0].reason
    assert has_settled(ordered[:25], margin=0.1)


def test_what_is_not_decided_early_has_less_alpha_at_the_end() -> None:
    values = pairs(flips(60, 3, 3))
    found = compare(values, margin=0.1, early_stop=True)
    assert not has_settled(values, margin=0.1)
    assert (found.early, found.method) == (False, "tango")
    assert found.alpha == pytest.approx(0.04)
    assert found.lower < compare(values, margin=0.1).lower


def test_an_early_stop_is_no_license_of_clusters_that_still_grow() -> None:
    lost = [(1.0, 0.0)] * 200
    assert has_settled(pairs(lost), margin=0.1)
    assert not has_settled(pairs(lost, ["one"] * 200), margin=0.1)


def test_the_document_is_json_in_camel_case() -> None:
    document = compare(pairs(flips(30, 1, 1)), margin=0.1).as_document()
    assert set(json.loads(json.dumps(document))) == {
        "method",
        "units",
        "difference",
        "lower",
        "upper",
        "pValue",
        "wins",
        "losses",
        "ties",
        "margin",
        "alpha",
        "minimumDetectableLoss",
        "outcome",
        "reason",
        "informing",
        "early",
    }


def test_the_reason_says_how_little_a_small_set_shows() -> None:
    found = compare(pairs(flips(60, 1, 1)), margin=0.05)
    assert found.minimum_detectable_loss is not None
    assert found.minimum_detectable_loss > 0.05
    assert found.reason == (
        "may be up to 0.0569 worse than production, beyond the margin of 0.05 "
        "(difference +0 over 60 cases: the smallest loss they would likely show is 0.07)"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.01, 1.01])
def test_what_is_no_score_is_refused_by_name(value: float) -> None:
    with pytest.raises(Invalid, match="case-1"):
        compare(pairs([(1.0, 1.0), (1.0, value)]), margin=0.1)


def test_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="no pairs"):
        compare([], margin=0.1)
    with pytest.raises(Invalid, match="no pairs"):
        compare_ratio([], max_rise=0.1)


def test_repeats_are_not_rows() -> None:
    with pytest.raises(Invalid, match="twice: case-0"):
        compare(pairs([(1.0, 1.0)]) * 2, margin=0.1)


@pytest.mark.parametrize(
    ("after", "outcome"), [(1.0, "passed"), (1.1, "passed"), (1.11, "failed"), (0.5, "passed"), (3.0, "failed")]
)
def test_a_rise_of_all_cases_alike(after: float, outcome: str) -> None:
    found = compare_ratio(pairs([(0.02, 0.02 * after)] * 3), max_rise=0.1)
    assert found.outcome == outcome
    assert found.ratio == pytest.approx(after)
    assert found.as_document()["maxRise"] == 0.1


def test_a_rise_that_may_be_chance_is_not_judged() -> None:
    found = compare_ratio(pairs([(1.0, 0.7), (1.0, 1.9), (1.0, 1.2), (1.0, 0.9)]), max_rise=0.1)
    assert found.outcome == "inconclusive"
    assert found.lower < 1.1 < found.upper


def test_one_case_does_not_tell_a_rise() -> None:
    document = compare_ratio(pairs([(1.0, 1.0)]), max_rise=0.1).as_document()
    assert (document["outcome"], document["lower"], document["upper"]) == ("inconclusive", 0.0, None)


@pytest.mark.parametrize("pair", [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)])
def test_amounts_without_a_ratio_are_refused_by_name(pair: tuple[float, float]) -> None:
    with pytest.raises(Invalid, match="case-1"):
        compare_ratio(pairs([(1.0, 1.0), pair]), max_rise=0.1)


def test_free_of_charge_on_both_sides_is_no_rise() -> None:
    found = compare_ratio(pairs([(0.0, 0.0)] * 5), max_rise=0.1)
    assert (found.outcome, found.ratio) == ("passed", 1.0)
    assert "5 of nothing on both sides" in found.reason


def test_a_run_loads_no_library() -> None:
    program = """
import sys
from penstock.scoring.statistics.decide import Pair, has_settled
assert has_settled([Pair(unit=str(at), cluster=None, baseline=1.0, candidate=0.0) for at in range(99)], margin=0.1)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "scipy", "statsmodels", "pandas"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(Unavailable, match=r"penstock\[evals\]"):
        compare(pairs(flips(30, 1, 1)), margin=0.1)
