"""Two independent streams of losses in [0, 1], compared by betting: whether the first loses more than the second.

Losses come in an order that does not depend on them, and are cut into blocks, which depend on nothing but whose loss
came when. Against H0: mean(first) - mean(second) <= null, capital 1 is multiplied, unit by unit of a block, by
1 + s (y - p) for the first side and by 1 - t (y - q) for the second, where p - q = null and (units of the first) s =
(units of the second) t, all of it chosen from earlier blocks. Since ln(1 + x) <= x, the capital's expectation does not
grow while H0 holds, whatever the distributions and however they drift, so whoever looks, ever so often, finds 1 / alpha
with a probability of at most alpha (Ville). The points (p, q) are the projections of Turner R. J., Ly A., Grünwald P.
(2024), "Generic E-variables for exact sequential k-sample tests", J. Statistical Planning and Inference 230; see
docs/design/live-analysis.md. Own code: R has it for counts (safestats), Python has not. Plain Python, since it is
asked at every look.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from penstock.errors import Invalid
from penstock.scoring.statistics.bisection import edge
from penstock.scoring.statistics.refusal import refuse_alpha

GAPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""How far above `null` the difference may be: the capital is spread equally over bets on each of these."""
BLOCKS_A_STEP = 25
"""So many blocks, then the least of a side grows by one unit: the blocks of n units number about sqrt(50 n)."""
LONGEST = 500
"""Times the least: so many units of one side wait for the other; older ones are of another time and are left out."""
PRIOR_LOSS, PRIOR_UNITS = 0.5, 10
"""What counts as seen before anything was: half a loss in ten units."""
LARGEST_STAKE = 0.99
"""Of the capital, on one unit: who stakes all of it can lose all of it."""
EDGE = 1e-6
LEAST_SHARE = 1e-3
HALVINGS = 12
"""Of the range of a bound: to half a thousandth."""
LARGEST = 1e12


class Loss(NamedTuple):
    """One unit's loss, from 0 to 1, and whether it is of the first side."""

    of_first: bool
    value: float


@dataclass(frozen=True, slots=True)
class Side:
    """The losses of one side in a block: how many were 0 and 1, and those in between."""

    zeros: int
    ones: int
    between: tuple[float, ...] = ()

    @property
    def units(self) -> int:
        """How many there are."""
        return self.zeros + self.ones + len(self.between)

    @property
    def total(self) -> float:
        """Their sum."""
        return self.ones + math.fsum(self.between)

    def log_growth(self, stake: float, point: float) -> float:
        """Logarithm of what capital grows by with 1 + stake * (loss - point) a unit."""
        grown = self.ones * math.log1p(stake * (1 - point)) + self.zeros * math.log1p(-stake * point)
        return grown + sum(math.log1p(stake * (loss - point)) for loss in self.between)


@dataclass(frozen=True, slots=True)
class Block:
    """Losses of both sides, neither empty."""

    first: Side
    second: Side

    def mirrored(self) -> "Block":
        """The same block seen from the other side."""
        return Block(self.second, self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTest:
    """What the streams say of d = mean(first) - mean(second), whenever one looks.

    `e_value` is the most capital that a bet against d <= tolerance ever had, at most 1e12; `lower` and `upper` are
    one-sided bounds of d at alpha each, -1 and 1 where nothing is known.
    """

    e_value: float
    lower: float
    upper: float


def blocks_of(losses: Iterable[tuple[bool, float]]) -> list[Block]:
    """Cuts losses (`Loss`), in their order, into blocks; those at the end that make no block yet are left out.

    A block closes as soon as both sides have its least number of units. What comes later changes no earlier block.
    Raises `Invalid` for a loss that is no number from 0 to 1.
    """
    blocks: list[Block] = []
    first, second = _waiting(1), _waiting(1)
    least = 1
    for of_first, value in losses:
        if not 0 <= value <= 1:
            raise Invalid(f"a loss of {value} is no number from 0 to 1", now="correct what measured it")
        (first if of_first else second).append(value)
        if len(first) >= least and len(second) >= least:
            blocks.append(Block(_side(first), _side(second)))
            least = 1 + len(blocks) // BLOCKS_A_STEP
            first, second = _waiting(least), _waiting(least)
    return blocks


def e_value(blocks: Iterable[Block], *, null: float, gaps: Sequence[float] = GAPS) -> float:
    """The most capital that a bet against H0: mean(first) - mean(second) <= null ever had, from 1 to 1e12."""
    highest = max((0.0, *log_capital(blocks, null=null, gaps=gaps)))
    return min(math.exp(min(highest, 99.0)), LARGEST)


def stream_test(blocks: Sequence[Block], *, tolerance: float, alpha: float) -> StreamTest:
    """Tests d <= `tolerance` (-1 < tolerance < 1), with the bounds of d. Raises `Invalid` for an alpha out of range."""
    refuse_alpha(alpha)
    return StreamTest(
        e_value=e_value(blocks, null=tolerance),
        lower=_lower_bound(blocks, alpha),
        upper=-_lower_bound([block.mirrored() for block in blocks], alpha),
    )


def log_capital(blocks: Iterable[Block], *, null: float, gaps: Sequence[float] = GAPS) -> Iterator[float]:
    """Logarithm of the capital after each block; -1 < null < 1.

    A bet on a gap holds that both sides together lose what was seen in earlier blocks, and the first `null + gap` more.
    """
    logs = [0.0] * len(gaps)
    lost, units = PRIOR_LOSS, PRIOR_UNITS
    for block in blocks:
        share = block.first.units / (block.first.units + block.second.units)
        for at, gap in enumerate(gaps):
            least = max(LEAST_SHARE, LEAST_SHARE - null - gap)
            second = min(max(lost / units - share * (null + gap), least), 1 - LEAST_SHARE)
            first = min(max(second + null + gap, LEAST_SHARE), 1 - LEAST_SHARE)
            logs[at] += _growth(block, first, second, null)
        lost += block.first.total + block.second.total
        units += block.first.units + block.second.units
        highest = max(logs)
        yield highest + math.log(math.fsum(math.exp(log - highest) for log in logs) / len(logs))


def _growth(block: Block, first: float, second: float, null: float) -> float:
    """What a block adds to the logarithm of capital that bets on these two shares against a difference of `null`."""
    units, others = block.first.units, block.second.units
    q = _projected(units, others, first, second, null)
    p = q + null
    # Both sides have the same stake in all; the smaller one where the projection is not exact.
    stake = min(units * (first - p) / (p * (1 - p)), others * (q - second) / (q * (1 - q)))
    stake = min(stake, LARGEST_STAKE * units / p, LARGEST_STAKE * others / (1 - q))
    if stake <= 0:
        return 0.0
    return block.first.log_growth(stake / units, p) + block.second.log_growth(-stake / others, q)


def _projected(units: int, others: int, first: float, second: float, null: float) -> float:
    """The q at which (q + null, q) is nearest to (first, second) of all points of H0, by weighted likelihood."""
    low, high = max(0.0, -null) + EDGE, min(1.0, 1.0 - null) - EDGE
    aim = first - null
    q = min(max((units * aim + others * second) / (units + others), low), high)
    if null == 0:
        return q
    for _ in range(4):
        p = q + null
        weight, other = units / (p * (1 - p)), others / (q * (1 - q))
        q = min(max((weight * aim + other * second) / (weight + other), low), high)
    return q


def _lower_bound(blocks: Sequence[Block], alpha: float) -> float:
    """The highest difference that betting rejects; capital falls as the difference that it bets against rises."""
    enough = math.log(1 / alpha)

    def rejects(null: float) -> bool:
        return any(capital >= enough for capital in log_capital(blocks, null=null))

    return edge(rejects, -1.0, 1.0, halvings=HALVINGS)


def _waiting(least: int) -> deque[float]:
    return deque(maxlen=LONGEST * least)


def _side(values: Iterable[float]) -> Side:
    held = list(values)
    zeros, ones = held.count(0), held.count(1)
    return Side(zeros, ones, tuple(value for value in held if 0 < value < 1) if zeros + ones < len(held) else ())
