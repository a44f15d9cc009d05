"""What belongs together counts once: repeats of a case, cases of a cluster."""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from penstock.errors import Invalid
from penstock.scoring.statistics.extra import evals_extra


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedUnit:
    """A case, or a cluster of which no more cases come: its mean, and how many values had been seen by then."""

    value: float
    seen: int


def group_means(values: Sequence[float], groups: Sequence[Hashable | None]) -> list[float]:
    """One mean a group, in the order in which groups first appear; a value without a group stands alone."""
    _refuse_unequal(values, groups)
    found: dict[Hashable, list[float]] = {}
    for at, (value, group) in enumerate(zip(values, groups, strict=True)):
        found.setdefault(("alone", at) if group is None else ("group", group), []).append(value)
    return [math.fsum(members) / len(members) for members in found.values()]


def closed_units(values: Sequence[float], clusters: Sequence[Hashable | None]) -> Iterator[ClosedUnit]:
    """The units of a sequence that still grows, such that nothing that follows changes those already seen.

    A cluster is closed by the first case that is not of it; the last one is therefore open. Cases of a cluster that
    come after it was closed are left out here: they are no new unit, and what was looked at may not change.
    """
    _refuse_unequal(values, clusters)
    seen, closed, at = 0, set(), 0
    for cluster, members in groupby(zip(values, clusters, strict=True), key=lambda pair: pair[1]):
        numbers = [value for value, _ in members]
        at, seen = seen, seen + len(numbers)
        if cluster is None:
            yield from (ClosedUnit(value=value, seen=at + more) for more, value in enumerate(numbers, start=1))
        elif seen < len(values) and cluster not in closed:
            yield ClosedUnit(value=math.fsum(numbers) / len(numbers), seen=seen)
        closed.add(cluster)


def clustered_standard_error(values: Sequence[float], clusters: Sequence[Hashable | None]) -> float:
    """Standard error of the mean of all values when those of a cluster hang together (CR1, as statsmodels has it).

    Needs two clusters; with each value alone it is the usual s / sqrt(n).
    """
    _refuse_unequal(values, clusters)
    numbers: dict[Hashable, int] = {}
    codes = [
        numbers.setdefault(("alone", at) if cluster is None else ("cluster", cluster), len(numbers))
        for at, cluster in enumerate(clusters)
    ]
    if len(numbers) < 2:
        raise Invalid("one cluster has no spread", now="give at least two")
    with evals_extra():
        from numpy import array, ones
        from statsmodels.regression.linear_model import OLS
    fitted = OLS(array(values, dtype=float), ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": array(codes)}
    )
    return float(fitted.bse[0])


def _refuse_unequal(values: Sequence[float], groups: Sequence[Hashable | None]) -> None:
    if len(values) != len(groups):
        raise Invalid(f"{len(values)} values of {len(groups)} groups", now="give each value its group, or None")
