"""How far the distribution of a column moved from one version of a dataset to the next."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.dataset import DriftCheck
from penstock.scoring.datasets.check_row import CheckRow
from penstock.scoring.datasets.columns import MISSING, compared_columns, json_type, value_at

MOST_WORDS = 20
LEAST_VALUES = 5
PRIOR = 0.5
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two samples of one column lie apart.

    `ks` = the greatest distance of their distribution functions, 0..1; `psi` = the population stability index, >= 0.
    `p_value` is the chance of so great a distance between two samples of one distribution: of few cases every distance
    is great.
    """

    statistic: Literal["ks", "psi"]
    value: float
    p_value: float
    before: int
    now: int


def drift_rows(check: DriftCheck, now: Sequence[Document], before: Sequence[Document]) -> list[CheckRow]:
    """A row for each column: passed or failed by the declared limit, `not judged` without one or on too few values."""
    columns = check.columns or [one for one in compared_columns([*before, *now]) if one not in {"answer", "label"}]
    rows = []
    for column in columns:
        found = column_distance(column, now, before)
        if found is not None or column in check.columns:
            rows.append(_row(check, column, found))
    return rows


def _row(check: DriftCheck, column: str, found: Distance | None) -> CheckRow:
    if found is None:
        why = f"fewer than {LEAST_VALUES} values that can be compared"
        return CheckRow("distribution_distance", column, "not judged", why, "")
    limit = check.max_ks if found.statistic == "ks" else check.max_psi
    observed = f"{found.value:.3f} (p = {found.p_value:.2g}; {found.now} values against {found.before})"
    name = f"distribution_{found.statistic}"
    if limit is None:
        return CheckRow(name, column, "not judged", observed, "none declared")
    return CheckRow(name, column, "passed" if found.value <= limit else "failed", observed, f"at most {limit:g}")


def column_distance(column: str, now: Sequence[Document], before: Sequence[Document]) -> Distance | None:
    """The distance of one column; None where one side has too few values, or they are of no one kind."""
    sides = [[value for one in side if (value := value_at(one, column)) is not MISSING] for side in (now, before)]
    if min(map(len, sides)) < LEAST_VALUES:
        return None
    kinds = {json_type(value) for side in sides for value in side}
    if kinds <= {"integer", "number"}:
        return _ks([[float(value) for value in side] for side in sides])
    if column == "tags":
        return _psi([[word for tags in side for word in tags] for side in sides])
    if kinds == {"array"}:
        return _ks([[float(len(value)) for value in side] for side in sides])
    if not kinds <= {"string", "boolean", "null"}:
        return None
    if kinds == {"string"} and len({value for side in sides for value in side}) > MOST_WORDS:
        return _ks([[float(len(value)) for value in side] for side in sides])
    return _psi([[repr(value) for value in side] for side in sides])


def _ks(sides: list[list[float]]) -> Distance:
    from scipy.stats import ks_2samp

    now, before = sides
    found: Any = ks_2samp(now, before, method="auto")
    return Distance("ks", float(found.statistic), float(found.pvalue), len(before), len(now))


def _psi(sides: list[list[str]]) -> Distance | None:
    """Sum over the words of (p - q) ln(p / q); half a count is added to each, so that a new word is not infinite."""
    from scipy.stats import chi2_contingency

    now, before = (Counter(side) for side in sides)
    if min(now.total(), before.total()) < LEAST_VALUES:
        return None
    words = sorted({*now, *before})
    total = 0.0
    for word in words:
        p = (now[word] + PRIOR) / (now.total() + PRIOR * len(words))
        q = (before[word] + PRIOR) / (before.total() + PRIOR * len(words))
        total += (p - q) * math.log(p / q)
    chance = 1.0
    if len(words) > 1:
        found: Any = chi2_contingency(
            [[now[word] for word in words], [before[word] for word in words]], correction=False
        )
        chance = float(found.pvalue)
    return Distance("psi", total, chance, before.total(), now.total())
