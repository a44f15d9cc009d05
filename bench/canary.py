"""Live analysis of a canary, simulated: false aborts of equal versions, and how soon a worse one is stopped.

Beside it stands a fixed-sample test that is looked at as often. Everything is seeded. Ends with status 1 where false
aborts are above alpha for certain.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from penstock.scoring.statistics.proportion import wilson_interval
from penstock.scoring.statistics.sample_size import units_to_prove
from penstock.scoring.statistics.two_streams import Block, blocks_of, log_capital

ALPHA = 0.05
METRICS = 5
"""All metrics that there are: each then has a fifth of alpha."""
WEIGHTS = (0.01, 0.05, 0.25, 0.5)
SESSIONS_A_STEP = 2_000
CORRELATION = 0.3
"""Of two runs of one session: the shares of sessions are beta-distributed."""
BASES = (0.01, 0.05, 0.2)
GAPS = (0.05, 0.1, 0.2)
EQUAL_ROLLOUTS, PEER_ROLLOUTS, WORSE_ROLLOUTS, PROOFS = 600, 200, 100, 21
Z_LIMIT = 1.645
Z_SESSIONS = 30
"""On the canary, before the fixed-sample test is asked at all."""
MARGIN = 0.01
PROOF_SESSIONS = {0.01: 250_000, 0.5: 12_000}
"""By weight."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Rollout:
    """Sessions in their order: whether each is the canary's, how many runs it has, and how many of them failed."""

    on_canary: NDArray[np.bool_]
    runs: NDArray[np.int64]
    failed: NDArray[np.int64]

    @cached_property
    def blocks(self) -> list[Block]:
        """What the sessions lose, in blocks."""
        return blocks_of(zip(self.on_canary.tolist(), (self.failed / self.runs).tolist(), strict=True))


def rollout(random: np.random.Generator, weights: Sequence[float], sessions: int, base: float, gap: float) -> Rollout:
    """So many sessions a weight; the canary fails `gap` more."""
    on_canary = random.random((len(weights), sessions)) < np.array(weights)[:, None]
    canary = on_canary.ravel()
    share = np.where(canary, base + gap, base)
    spread = (1 - CORRELATION) / CORRELATION
    runs = random.integers(1, 6, canary.size)
    return Rollout(canary, runs, random.binomial(runs, random.beta(share * spread, (1 - share) * spread)))


def aborted_after(blocks: Sequence[Block], capitals: Iterable[float], alpha: float) -> int | None:
    """Sessions on the canary until the first look that aborts; None if none does."""
    sessions = 0
    for block, capital in zip(blocks, capitals, strict=False):
        sessions += block.first.units
        if capital >= math.log(1 / alpha):
            return sessions
    return None


def until(capitals: Iterable[float], alpha: float) -> Iterator[float]:
    """The capitals up to the first that is enough."""
    for capital in capitals:
        yield capital
        if capital >= math.log(1 / alpha):
            return


def fixed_sample(seen: Rollout, *, by_run: bool) -> int | None:
    """The same for a one-sided z test at 5 % of sessions, or of runs as if they were independent."""
    size: Values = seen.runs.astype(float) if by_run else np.ones(seen.runs.size)
    loss: Values = seen.failed.astype(float) if by_run else seen.failed / seen.runs
    square: Values = loss if by_run else loss**2
    sides = []
    for side in (seen.on_canary, ~seen.on_canary):
        n, total, squares = (np.cumsum(np.where(side, values, 0.0)) for values in (size, loss, square))
        mean = total / np.maximum(n, 1)
        sides.append((mean, np.maximum(squares / np.maximum(n, 1) - mean**2, 0) / np.maximum(n, 1)))
    (canary, canary_error), (prod, prod_error) = sides
    sessions = np.cumsum(seen.on_canary)
    worse = (canary - prod > Z_LIMIT * np.sqrt(canary_error + prod_error)) & (sessions >= Z_SESSIONS)
    return int(sessions[int(np.argmax(worse))]) if worse.any() else None


def shares(found: Sequence[int | None]) -> str:
    """The share that aborted with its interval."""
    aborted = sum(one is not None for one in found)
    lower, upper = wilson_interval(aborted, len(found))
    return f"{aborted / len(found):6.1%} ({lower:.1%} to {upper:.1%})"


def quantiles(found: Sequence[int | None]) -> str:
    """Median, 90th percentile, and the share that aborted at all."""
    ordered = sorted(math.inf if one is None else one for one in found)
    median, ninth = ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10]
    return f"{median:>6.0f} {ninth:>6.0f} {sum(one is not None for one in found) / len(found):>6.0%}"


def equal_versions() -> bool:
    """Prints false aborts of whole rollouts; False where they are above alpha for certain."""
    kept = True
    print(f"False aborts in whole rollouts, versions equal, a look after every session (alpha {ALPHA:.0%})")
    print(f"{EQUAL_ROLLOUTS} rollouts of the e-process, {PEER_ROLLOUTS} of the z test")
    print(f"{'fails':>6}  {'e-process':<24} {'z by session':<24} {'z by run':<24}")
    for base in BASES:
        random = np.random.default_rng((1, round(base * 1000)))
        found: dict[str, list[int | None]] = {"e": [], "z": [], "runs": []}
        for number in range(EQUAL_ROLLOUTS):
            seen = rollout(random, WEIGHTS, SESSIONS_A_STEP, base, 0.0)
            found["e"].append(aborted_after(seen.blocks, log_capital(seen.blocks, null=0.0), ALPHA))
            if number < PEER_ROLLOUTS:
                found["z"].append(fixed_sample(seen, by_run=False))
                found["runs"].append(fixed_sample(seen, by_run=True))
        print(f"{base:>6.0%}  " + " ".join(f"{shares(one):<24}" for one in found.values()))
        aborted = sum(one is not None for one in found["e"])
        kept = kept and wilson_interval(aborted, EQUAL_ROLLOUTS)[0] <= ALPHA
    return kept


def worse_versions() -> None:
    """Prints how soon a canary that fails more is aborted, by how many of its own sessions."""
    print(
        f"\nSessions on the canary until the abort: median, 90th percentile, share aborted ({WORSE_ROLLOUTS} rollouts)"
    )
    alone, shared = f"alone, alpha {ALPHA:.0%}", f"one of {METRICS}, alpha {ALPHA / METRICS:.0%}"
    print(f"{'weights':>10} {'fails':>6} {'more':>5}  {alone:<21}  {shared:<21}")
    for weights in (WEIGHTS, (0.5,)):
        for base in (0.01, 0.05):
            for gap in GAPS:
                random = np.random.default_rng((2, round(base * 1000), round(gap * 1000), len(weights)))
                found: dict[float, list[int | None]] = {ALPHA: [], ALPHA / METRICS: []}
                for _ in range(WORSE_ROLLOUTS):
                    blocks = rollout(random, weights, SESSIONS_A_STEP, base, gap).blocks
                    capitals = list(until(log_capital(blocks, null=0.0), ALPHA / METRICS))
                    for alpha, one in found.items():
                        one.append(aborted_after(blocks, capitals, alpha))
                name = "1 to 50 %" if len(weights) > 1 else "50 %"
                print(f"{name:>10} {base:>6.0%} {gap:>5.0%}  " + "  ".join(quantiles(one) for one in found.values()))


def proofs() -> None:
    """Prints how many sessions on the canary prove that it is not worse, beside the fixed-sample formula."""
    print(f"\nSessions on the canary until it is proven not worse by {MARGIN:.0%} (equal, 1 % fail, single runs)")
    for weight, sessions in PROOF_SESSIONS.items():
        needed = units_to_prove(loss=0.01, margin=MARGIN, share=weight, alpha=ALPHA)
        found = []
        random = np.random.default_rng((3, round(weight * 1000)))
        for _ in range(PROOFS):
            on_canary = random.random(sessions) < weight
            failed = (random.random(sessions) < 0.01).astype(float)
            blocks = blocks_of(zip(on_canary.tolist(), failed.tolist(), strict=True))
            mirrored = [block.mirrored() for block in blocks]
            capitals = log_capital(mirrored, null=-MARGIN, gaps=(MARGIN / 2, MARGIN, 2 * MARGIN))
            found.append(aborted_after(blocks, capitals, ALPHA))
        print(f"{weight:>6.0%}  formula, one look, 80 % power: {needed}; e-process: {quantiles(found)}")


def main() -> int:
    """Prints the tables."""
    kept = equal_versions()
    worse_versions()
    proofs()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
