import math
import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import Invalid
from penstock.scoring.statistics.two_streams import (
    LONGEST,
    Block,
    Loss,
    Side,
    blocks_of,
    e_value,
    log_capital,
    stream_test,
)

LOSSES = st.lists(st.builds(Loss, st.booleans(), st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0])), max_size=120)
SHARES = st.floats(0, 1)


def stream(seed: int, units: int, share: float, first: float, second: float) -> list[Loss]:
    draw = random.Random(seed)
    sides = [draw.random() < share for _ in range(units)]
    return [Loss(side, float(draw.random() < (first if side else second))) for side in sides]


def expected_growth(before: list[Block], sizes: tuple[int, int], means: tuple[float, float], null: float) -> float:
    """The exact expectation of capital after one more block of yes-or-no losses, over the capital before it."""
    total = 0.0
    start = list(log_capital(before, null=null))[-1] if before else 0.0
    for lost in product(*(range(size + 1) for size in sizes)):
        chance = 1.0
        for size, ones, mean in zip(sizes, lost, means, strict=True):
            chance *= math.comb(size, ones) * mean**ones * (1 - mean) ** (size - ones)
        first, second = (Side(size - ones, ones) for size, ones in zip(sizes, lost, strict=True))
        capital = list(log_capital([*before, Block(first, second)], null=null))[-1]
        total += chance * math.exp(capital - start)
    return total


@settings(max_examples=60, deadline=None)
@given(LOSSES, st.integers(1, 4), st.integers(1, 6), st.floats(-0.6, 0.6), SHARES, SHARES)
def test_capital_is_not_expected_to_grow_while_the_first_loses_no_more(
    losses: list[Loss], units: int, others: int, null: float, level: float, below: float
) -> None:
    low, high = max(0.0, -null), min(1.0, 1.0 - null)
    second = low + level * (high - low)
    first = (second + null) * below
    for edge in (first, second + null):
        assert expected_growth(blocks_of(losses), (units, others), (min(edge, 1.0), second), null) <= 1 + 1e-9


@settings(max_examples=40, deadline=None)
@given(SHARES, SHARES)
def test_nor_where_losses_lie_in_between_or_means_drift_within_a_block(one: float, two: float) -> None:
    # Two units of the first side with means of their own, one of the second with the mean of both: d = 0 in the block.
    total = 0.0
    means = [one, two, (one + two) / 2]
    for fallen in product((False, True), repeat=3):
        chance = math.prod(mean if down else 1 - mean for mean, down in zip(means, fallen, strict=True))
        # A loss is three quarters or one quarter: half as wide about one half.
        values = [0.75 if down else 0.25 for down in fallen]
        block = Block(Side(0, 0, tuple(values[:2])), Side(0, 0, (values[2],)))
        total += chance * math.exp(list(log_capital([block], null=0.0))[-1])
    assert total <= 1 + 1e-9


def test_false_alarms_over_a_whole_stream_are_as_rare_as_promised() -> None:
    alarms = 0
    for seed in range(150):
        blocks = blocks_of(stream(seed, 600, (0.05, 0.3, 0.5)[seed % 3], 0.1, 0.1))
        alarms += e_value(blocks, null=0.0) >= 1 / 0.1
    assert 0 < alarms <= 15


@settings(max_examples=40, deadline=None)
@given(LOSSES, LOSSES)
def test_what_comes_later_changes_nothing_of_what_was(losses: list[Loss], later: list[Loss]) -> None:
    before, after = blocks_of(losses), blocks_of([*losses, *later])
    assert after[: len(before)] == before
    capitals = list(log_capital(after, null=0.0))
    assert capitals[: len(before)] == list(log_capital(before, null=0.0))
    assert e_value(after, null=0.0) >= e_value(before, null=0.0) >= 1


def test_looking_after_every_unit_finds_what_looking_once_finds() -> None:
    losses = stream(3, 800, 0.3, 0.2, 0.05)
    looks = [e_value(blocks_of(losses[:seen]), null=0.0) for seen in range(0, 801, 40)]
    assert looks == sorted(looks)
    assert looks[-1] == e_value(blocks_of(losses), null=0.0) > 100


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.sampled_from([0.02, 0.2, 0.5]), st.sampled_from([0.0, 0.05, 0.3]))
def test_bounds_enclose_what_was_seen_and_agree_with_the_test(seed: int, share: float, more: float) -> None:
    losses = stream(seed, 400, share, 0.1 + more, 0.1)
    blocks = blocks_of(losses)
    found = stream_test(blocks, tolerance=0.0, alpha=0.05)
    assert -1 <= found.lower <= found.upper <= 1
    assert (found.e_value >= 20) == (found.lower >= 0)
    mirrored = stream_test([block.mirrored() for block in blocks], tolerance=0.0, alpha=0.05)
    assert (mirrored.lower, mirrored.upper) == (-found.upper, -found.lower)


def test_a_canary_that_fails_is_found_at_one_percent_of_traffic() -> None:
    losses = stream(1, 6_000, 0.01, 0.5, 0.01)
    found = stream_test(blocks_of(losses), tolerance=0.0, alpha=0.01)
    assert found.e_value >= 100
    assert 0.1 < found.lower < 0.5 < found.upper


def test_tolerance_is_what_may_be_lost_without_a_word() -> None:
    blocks = blocks_of(stream(2, 2_000, 0.5, 0.15, 0.05))
    strict, lenient = (stream_test(blocks, tolerance=tolerance, alpha=0.05).e_value for tolerance in (0.0, 0.2))
    assert strict > 1_000
    assert lenient < 2


def test_proof_of_not_worse_is_the_mirrored_process() -> None:
    equal, worse = ([*stream(4, 20_000, 0.2, rate, 0.01)] for rate in (0.01, 0.03))
    proofs = [
        e_value([block.mirrored() for block in blocks_of(losses)], null=-0.01, gaps=(0.005, 0.01, 0.02))
        for losses in (equal, worse)
    ]
    assert proofs[0] >= 20 > proofs[1]


@pytest.mark.parametrize("losses", [[], [Loss(True, 1.0)] * 50, [Loss(False, 0.0)] * 50])
def test_one_side_alone_says_nothing(losses: list[Loss]) -> None:
    assert blocks_of(losses) == []
    found = stream_test([], tolerance=0.0, alpha=0.05)
    assert (found.e_value, found.lower, found.upper) == (1.0, -1.0, 1.0)


def test_a_long_wait_for_the_other_side_keeps_the_newest() -> None:
    waiting = [Loss(False, 1.0)] * 300 + [Loss(False, 0.0)] * LONGEST
    [block] = blocks_of([*waiting, Loss(True, 0.5)])
    assert block == Block(Side(0, 0, (0.5,)), Side(LONGEST, 0))


def test_blocks_grow_so_that_a_look_stays_quick() -> None:
    blocks = blocks_of(stream(5, 40_000, 0.5, 0.1, 0.1))
    assert len(blocks) < 1_100
    assert min(blocks[-1].first.units, blocks[-1].second.units) == 1 + (len(blocks) - 1) // 25


def test_capital_has_an_end_that_json_can_say() -> None:
    blocks = blocks_of(stream(6, 4_000, 0.5, 1.0, 0.0))
    assert e_value(blocks, null=0.0) == 1e12


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_loss_is_refused(value: float) -> None:
    with pytest.raises(Invalid, match="no number from 0 to 1"):
        blocks_of([Loss(True, value)])
