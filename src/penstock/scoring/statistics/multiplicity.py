"""Many questions to one set of cases: without a correction one of twenty slices looks worse by chance alone."""

from collections.abc import Sequence

from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.refusal import refuse_values


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's corrected p-values in the same order: those below alpha are wrong, any of them, with at most alpha.

    Gates that must all pass need no correction: a wrong pass of all is no more likely than of one.
    """
    refuse_values(p_values, least=0, most=1, what="p-value")
    with evals_extra():
        from statsmodels.stats.multitest import multipletests
    return [float(corrected) for corrected in multipletests(list(p_values), method="holm")[1]]
