"""The interval of a share."""

from penstock.errors import Invalid
from penstock.scoring.statistics.extra import evals_extra
from penstock.scoring.statistics.refusal import refuse_alpha


def wilson_interval(successes: int, units: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's two-sided interval of `successes` among independent `units`, at 1 - alpha together.

    Raises `Invalid` for no units, and for more successes than units.
    """
    refuse_alpha(alpha)
    if units < 1 or not 0 <= successes <= units:
        raise Invalid(f"{successes} of {units} is no share", now="count at least one unit, and every success once")
    with evals_extra():
        from statsmodels.stats.proportion import proportion_confint
    lower, upper = proportion_confint(successes, units, alpha=alpha, method="wilson")
    return float(min(max(lower, 0.0), successes / units)), float(max(min(upper, 1.0), successes / units))
