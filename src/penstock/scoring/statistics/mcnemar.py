"""McNemar's test of equal shares in a paired yes/no table: two-sided, beside the verdict, never instead of it."""

from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.refusal import refuse_counts


def mcnemar_exact(losses: int, wins: int) -> float:
    """Exact p: whether flips go either way with a chance of one half; 1.0 without a flip."""
    refuse_counts(losses, wins)
    with evals_extra():
        from statsmodels.stats.contingency_tables import mcnemar
    if not losses + wins:
        return 1.0
    return float(mcnemar([[0, losses], [wins, 0]], exact=True).pvalue)


def mcnemar_mid_p(losses: int, wins: int) -> float:
    """The exact p less half of the chance of just this table (times two): less conservative; 1.0 without a flip.

    Fagerland M. W., Lydersen S., Laake P. (2013), BMC Medical Research Methodology 13:91. statsmodels has the exact
    p only, so the half is taken from it here.
    """
    with evals_extra():
        from scipy.stats import binom
    flips = losses + wins
    if losses == wins:
        return 1.0 - (float(binom.pmf(losses, flips, 0.5)) if flips else 0.0)
    return mcnemar_exact(losses, wins) - float(binom.pmf(losses, flips, 0.5))


def mcnemar_chi2(losses: int, wins: int) -> tuple[float, float]:
    """The statistic with continuity correction and its p, for many flips; (0, 1) without a flip."""
    refuse_counts(losses, wins)
    with evals_extra():
        from statsmodels.stats.contingency_tables import mcnemar
    if not losses + wins:
        return 0.0, 1.0
    found = mcnemar([[0, losses], [wins, 0]], exact=False, correction=True)
    return float(found.statistic), float(found.pvalue)
