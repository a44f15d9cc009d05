"""How often production differs from itself on the same input, by whatever measure its pairs are compared."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.trial import Trial

if TYPE_CHECKING:
    from penstock.scoring.statistics.noise import NoiseFloor


def production_floor(pairs: Sequence[TrialPair], differ: Callable[[Trial, Trial], bool]) -> "NoiseFloor | None":
    """The floor of what `differ` sees, repeats averaged by case first; None where production was not run twice."""
    by_case: dict[str, list[bool]] = {}
    for pair in pairs:
        if pair.again is not None:
            by_case.setdefault(pair.case, []).append(differ(pair.baseline, pair.again))
    if not by_case:
        return None
    from penstock.scoring.statistics.noise import noise_floor

    return noise_floor([math.fsum(found) / len(found) for found in by_case.values()])
