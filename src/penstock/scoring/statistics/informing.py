"""Tests that inform beside a verdict: at the margin they let 12 to 43 % through, where 5 % is meant (simulated)."""

import math
from collections.abc import Hashable, Sequence

from penstock.scoring.statistics.cluster import clustered_standard_error
from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.refusal import refuse_values

RESAMPLES = 9_999
EXACT_UP_TO = 13
"""Differences other than zero: 2 ** 13 < `RESAMPLES`."""
SEED = 1


def t_p_value(differences: Sequence[float], clusters: Sequence[Hashable | None] | None = None) -> float:
    """Two-sided p of the paired t test of no difference, with a clustered standard error where there are clusters.

    1.0 where there is no spread to judge by (fewer than two clusters, or equal differences).
    """
    refuse_values(differences, least=-math.inf, most=math.inf, what="difference")
    groups: Sequence[Hashable | None] = clusters if clusters is not None else [None] * len(differences)
    count = len({cluster for cluster in groups if cluster is not None}) + sum(cluster is None for cluster in groups)
    if count < 2 or max(differences) == min(differences):
        return 1.0
    error = clustered_standard_error(differences, groups)
    if error == 0:
        return 1.0
    with evals_extra():
        from scipy.stats import t
    mean = math.fsum(differences) / len(differences)
    return float(2 * t.sf(abs(mean) / error, count - 1))


def sign_flip_p_value(differences: Sequence[float]) -> float:
    """Two-sided p of no difference: how often the mean is as far from zero when each sign is a coin's.

    Exact for up to 13 differences other than zero, else of 9,999 seeded flips. 1.0 where all are zero.
    """
    refuse_values(differences, least=-math.inf, most=math.inf, what="difference")
    flips = [difference for difference in differences if difference]
    if not flips:
        return 1.0
    if len(flips) == 1:
        return 1.0  # one coin: either side is as far
    with evals_extra():
        from numpy import array, mean
        from numpy.random import default_rng
        from scipy.stats import permutation_test
    found = permutation_test(
        (array(flips, dtype=float),),
        mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=1_000,
        rng=default_rng(SEED),
    )
    return float(found.pvalue)
