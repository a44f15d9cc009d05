"""How often a release that is worse by just the margin passes, and how often an equal one does; beside the usual tests.

Everything is seeded. Ends with status 1 where a rate is above its limit by more than three of its own standard errors.
"""

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from penstock.scoring.statistics.betting import betting_p_value
from penstock.scoring.statistics.detectable import detectable_flips, detectable_mean
from penstock.scoring.statistics.log_ratio import log_ratio
from penstock.scoring.statistics.sequential import decide_early, early_alpha, final_alpha
from penstock.scoring.statistics.tango import Flips, tango_interval, tango_p_value

ALPHA = 0.05
MARGIN = 0.10
LIMITS = {"tango": 0.06, "betting": 0.05}
CLUSTER = 5
COINS = 499
RATIOS = 1_000
SIZES = (30, 100, 500)
REPEATS = {30: 6_000, 60: 4_000, 100: 6_000, 500: 2_000}
TABLES = 40_000
"""Of Tango's test, which needs only counts."""

Values = NDArray[np.float64]


@dataclass(slots=True)
class Judged:
    """Rates above their limit, as they were printed."""

    broken: list[str] = field(default_factory=list)

    def judge(self, name: str, rate: float, limit: float, repeats: int) -> None:
        """Remembers a rate above its limit; `repeats` 0 = the rate is exact."""
        error = math.sqrt(max(rate * (1 - rate), 1e-9) / repeats) if repeats else 0.0
        if rate - 3 * error > limit:
            self.broken.append(f"{name}: {rate:.1%} is above {limit:.0%}")


def flips(random: np.random.Generator, shape: tuple[int, int], loss: float, flipping: float) -> Values:
    """Differences of yes/no cases: -1, 0, 1; `flipping` of them are not 0, and their mean is -loss."""
    drawn = random.random(shape)
    return (drawn > 1 - (flipping - loss) / 2).astype(float) - (drawn < (flipping + loss) / 2)


def clustered_flips(random: np.random.Generator, shape: tuple[int, int], loss: float, flipping: float) -> Values:
    """The same in clusters of five, of which each lends most of its cases one and the same fate."""
    repeats, units = shape
    fates = np.repeat(flips(random, (repeats, units // CLUSTER), loss, flipping), CLUSTER, axis=1)
    own = flips(random, shape, loss, flipping)
    mixed: Values = np.where(random.random(shape) < 0.8, fates, own)
    return mixed


def means(values: Values) -> Values:
    """Of clusters of five."""
    found: Values = values.reshape(len(values), -1, CLUSTER).mean(axis=2)
    return found


@cache
def tango_passes(units: int, losses: int, wins: int, alpha: float = ALPHA) -> bool:
    """Whether the table passes at the margin."""
    return tango_p_value(Flips(units=units, losses=losses, wins=wins), margin=MARGIN) < alpha


def tango(values: Values) -> float:
    """Share that passes."""
    return _tango_of((values < 0).sum(1).tolist(), (values > 0).sum(1).tolist(), values.shape[1])


def tango_tables(random: np.random.Generator, units: int, loss: float, flipping: float) -> float:
    """The same of many tables, drawn by their counts."""
    chances = [(flipping + loss) / 2, (flipping - loss) / 2, 1 - flipping]
    tables = random.multinomial(units, chances, TABLES)
    return _tango_of(tables[:, 0].tolist(), tables[:, 1].tolist(), units)


def _tango_of(losses: list[int], wins: list[int], units: int) -> float:
    return float(np.mean([tango_passes(units, *table) for table in zip(losses, wins, strict=True)]))


def betting(values: Values) -> float:
    """Share that passes."""
    units = values.shape[1]
    p_values = [betting_p_value(row, margin=MARGIN, alpha=ALPHA, horizon=units) for row in values.tolist()]
    return float(np.mean(np.array(p_values) < ALPHA))


def student(values: Values) -> float:
    """Share that passes by the paired t test."""
    return _standardised(values, 1, stats.t.isf(ALPHA, values.shape[1] - 1))


def wald(values: Values) -> float:
    """Share that passes by the normal interval with the variance that was seen."""
    return _standardised(values, 0, stats.norm.isf(ALPHA))


def _standardised(values: Values, freedom: int, limit: float) -> float:
    error = values.std(axis=1, ddof=freedom) / math.sqrt(values.shape[1])
    return float(np.mean(values.mean(axis=1) + MARGIN > limit * error))


def sign_flip(values: Values) -> float:
    """Share that passes by flipping signs about the margin."""
    random = np.random.default_rng(5)
    passed = []
    for row in (values + MARGIN)[:400]:
        signs = random.integers(0, 2, (COINS, len(row)), dtype=np.int8) * 2.0 - 1.0
        as_far = int(((signs @ row) >= row.sum() - 1e-9).sum())
        passed.append((as_far + 1) / (COINS + 1) <= ALPHA)
    return float(np.mean(passed))


def simple_rule(values: Values) -> float:
    """Share that passes by score >= baseline - margin."""
    return float(np.mean(values.mean(axis=1) >= -MARGIN))


WAYS: dict[str, Callable[[Values], float]] = {
    "betting": betting,
    "t": student,
    "Wald": wald,
    "sign-flip": sign_flip,
    "score >= base - margin": simple_rule,
}


def rates(judged: Judged, title: str, loss: float, shares: Iterable[float], sizes: Iterable[int] = SIZES) -> None:
    """Prints the share that passes in every way, for cases alone and in clusters; judged if `loss` is the margin."""
    for clustered in (False, True):
        print(f"\n{title}, {f'clusters of {CLUSTER}' if clustered else 'cases alone'}")
        ways = {**WAYS, "Tango on cases, wrongly" if clustered else "tango": tango}
        print(f"{'cases':>6} {'flips':>6} " + " ".join(f"{name:>12.24}" for name in ways))
        for units in sizes:
            for flipping in shares:
                random = np.random.default_rng((units, round(flipping * 1000), clustered))
                draw = clustered_flips if clustered else flips
                values = draw(random, (REPEATS[units], units), loss, flipping)
                taken = means(values) if clustered else values
                found = {name: way(values if way is tango else taken) for name, way in ways.items()}
                if not clustered:
                    found["tango"] = tango_tables(random, units, loss, flipping)
                print(
                    f"{units:6} {flipping:6.0%} "
                    + " ".join(f"{rate:>{max(12, len(name[:24]))}.1%}" for name, rate in found.items())
                )
                for name, limit in LIMITS.items():
                    if loss == MARGIN and name in found:
                        repeats = TABLES if name == "tango" else REPEATS[units]
                        judged.judge(f"{name}, {units} cases, {flipping:.0%}", found[name], limit, repeats)


def exact_size(units: int, flipping: float) -> float:
    """The chance that Tango's test passes a candidate that is worse by the margin: all tables, no simulation."""
    total = 0.0
    chance = stats.binom.pmf(np.arange(units + 1), units, flipping)
    lost = (1 + MARGIN / flipping) / 2
    for count in range(units + 1):
        if chance[count] > 1e-12:
            passing = [losses for losses in range(count + 1) if tango_passes(units, losses, count - losses)]
            if passing:
                total += chance[count] * float(stats.binom.cdf(passing[-1], count, lost))
    return total


def exact(judged: Judged) -> None:
    """Prints the size of Tango's test by enumeration: the worst share of flips for each number of cases."""
    print(f"\nTango, margin {MARGIN:g}: real false pass by enumeration, at the share of flips that is worst for it")
    for units in (20, 25, *SIZES):
        worst, flipping = max((exact_size(units, share), share) for share in np.linspace(MARGIN, 0.5, 9).tolist())
        print(f"{units:6} {flipping:6.0%} {worst:7.2%}{'' if units in SIZES else '  (below 30 cases: no limit)'}")
        if units in SIZES:
            judged.judge(f"Tango exact, {units} cases", worst, LIMITS["tango"], 0)


def early(judged: Judged) -> None:
    """Prints what stopping early costs and saves: alpha 0.01 for looking, 0.04 for the end."""
    print(
        "\nEarly stop (looked at after every case) and final test, 200 cases of which 20 % flip; t every 25 beside it"
    )
    for title, loss in (("worse by the margin", MARGIN), ("equal", 0.0), ("worse by 20 %", 0.2)):
        values = flips(np.random.default_rng(11), (600, 200), loss, 0.2)
        passed, stopped, peeked, after = 0, 0, 0, 0
        for row in values:
            found = decide_early(row.tolist(), margin=MARGIN, alpha=early_alpha(ALPHA))
            after += found.after if found is not None else len(row)
            stopped += found is not None
            if found is not None:
                passed += found.outcome == "passed"
            else:
                final = tango_passes(len(row), int((row < 0).sum()), int((row > 0).sum()), final_alpha(ALPHA))
                passed += final
            peeked += any(student(row[None, :count]) for count in range(25, 201, 25))
        size = len(values)
        print(
            f"{title:20} passed {passed / size:6.1%}   stopped early {stopped / size:6.1%}   "
            f"cases {after / size:5.0f}   t every 25 passes {peeked / size:6.1%}"
        )
        if loss == MARGIN:
            judged.judge("early stop", passed / size, 0.06, size)


def detectable() -> None:
    """Prints how often the minimum detectable loss is detected, which should be 80 %."""
    print("\nMinimum detectable loss at 10 % flips, and how often it fails when it is there")
    for units in (60, 200, 500):
        random = np.random.default_rng(units)
        equal = [0.0] * (units - units // 10) + [-1.0, 1.0] * (units // 20)
        by_flips = detectable_flips(Flips(units=units, losses=units // 20, wins=units // 20), alpha=ALPHA) or 1.0
        by_mean = detectable_mean(equal, alpha=ALPHA) or 1.0
        seen = flips(random, (400, units), by_flips, max(0.1, by_flips))
        failed = [
            tango_interval(Flips(units=units, losses=int((row < 0).sum()), wins=int((row > 0).sum())), alpha=ALPHA)[1]
            < 0
            for row in seen
        ]
        lost = np.where(
            random.random((400, units)) < by_mean, -1.0, np.array(equal)[random.integers(0, units, (400, units))]
        )
        bet = [
            betting_p_value([-one for one in row], margin=0, alpha=ALPHA, horizon=units) < ALPHA
            for row in lost.tolist()
        ]
        print(
            f"{units:6} cases   Tango {by_flips:.3f} seen {np.mean(failed):.0%}   "
            f"betting {by_mean:.3f} seen {np.mean(bet):.0%}"
        )


def ratios() -> None:
    """Prints how often the bounds of a ratio miss the truth; 5 % a side is meant."""
    print("\nBounds of cost and latency: misses below and above (5 % each is meant)")
    shapes: dict[str, Callable[[np.random.Generator, int], Values]] = {
        "normal logarithms": lambda random, units: random.normal(0, 0.3, units),
        "a tenth takes three times": lambda random, units: (
            random.normal(0, 0.1, units) + math.log(3) * (random.random(units) < 0.1) - 0.1 * math.log(3)
        ),
    }
    for units in (30, 100):
        for name, draw in shapes.items():
            random = np.random.default_rng((7, units))
            below = above = 0
            for _ in range(RATIOS):
                found = log_ratio([1.0] * units, np.exp(draw(random, units)).tolist(), alpha=ALPHA)
                below += found.lower > 1
                above += found.upper < 1
            print(f"{units:6} cases, {name:26} {below / RATIOS:6.1%} {above / RATIOS:6.1%}")


def main() -> int:
    judged = Judged()
    exact(judged)
    rates(judged, f"False pass: worse by the margin of {MARGIN:g}", MARGIN, (0.1, 0.2, 0.4))
    rates(judged, "Power: equal versions", 0.0, (0.1, 0.2), (60, 100, 500))
    early(judged)
    detectable()
    ratios()
    for line in judged.broken:
        print(f"limit broken: {line}")
    return 1 if judged.broken else 0


if __name__ == "__main__":
    sys.exit(main())
