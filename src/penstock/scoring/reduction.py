"""What the repeats of a case come to: one value a case, before any statistics."""

import math
from collections.abc import Sequence

from penstock.contracts.eval_suite import Reducer

HALF = 0.5


def reduce_repeats(values: Sequence[float], reducer: Reducer) -> float:
    """One value of the repeats of one case, which are not independent and so never rows of their own.

    mean = their mean; pass@k = 1 if any of the k repeats passed; pass^k = 1 if all did (k = the repeats of the suite).
    A repeat passed if its value is above one half. Raises `ValueError` for no value: nothing is not zero.
    """
    if not values:
        raise ValueError("no repeat has a value")
    if reducer == "mean":
        return math.fsum(values) / len(values)
    passed = [value > HALF for value in values]
    return float(any(passed) if reducer == "pass@k" else all(passed))
