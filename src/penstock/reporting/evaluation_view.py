"""What the page shows of gate `eval`: plots placed, cases sorted worst first, long lists cut to their allowance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.reporting.allowance import Fitted, numbered
from penstock.reporting.drawing import Drawing
from penstock.reporting.evaluation import CaseRow, Comparison, EvaluationShown, Flip, ScorerRow, Slice, Value
from penstock.reporting.plot import (
    Histogram,
    IntervalPlot,
    WinBar,
    difference_plot,
    difference_span,
    histogram,
    ratio_plot,
    win_bar,
)
from penstock.reporting.side import Ratio
from penstock.reporting.trajectory import aligned_calls

STATES = ("errored", "worse", "mixed", "better", "same", "judged")
MOST_TAGS = 60
MOST_SLICES = 20
LEAST_MOVE = {"assertion": 0.0, "score": 0.05}
"""A case is worse or better where one of its values moved by more than this: a score is never twice the same."""
OWN_COLUMNS = frozenset({"cost", "latency"})
"""Measures that the table of cases shows anyway."""


@dataclass(frozen=True, slots=True)
class ScorerLine:
    """One scorer with its plots; None where there is nothing to draw."""

    row: ScorerRow
    plot: IntervalPlot | None
    bar: WinBar | None


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One case of the table. `states` are the words that the filter knows; `tags` indexes of the page's tag list."""

    row: CaseRow
    states: tuple[str, ...]
    tags: tuple[int, ...]
    flip: int | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """A named pair of distributions, per case; `kind` tells how its ends are written."""

    title: str
    kind: str
    plot: Histogram


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """Gate `eval` as the templates draw it."""

    shown: EvaluationShown
    scorers: list[ScorerLine]
    cost: IntervalPlot | None
    latency: IntervalPlot | None
    distributions: list[Distribution]
    flips: Fitted
    cases: Fitted
    titles: list[str]
    tags: list[str]
    slices: Fitted


def evaluation_view(shown: EvaluationShown, drawing: Drawing, prefix: str) -> EvaluationView:
    """Places everything; `prefix` makes the anchors of this gate its own."""
    tags = sorted({tag for case in shown.cases for tag in case.tags})[:MOST_TAGS]
    valued = {title for case in shown.cases for title in (*case.candidate, *(case.baseline or {}))}
    titles = [row.title for row in shown.scorers if row.scorer not in OWN_COLUMNS and row.title in valued]
    known = {"prefix": prefix, "titles": titles, "compared": any(case.baseline is not None for case in shown.cases)}
    flips = drawing.flips.fit(
        numbered(shown.flips),
        lambda flip: drawing.render("flip.html", n=flip[0], flip=flip[1], **_flip(flip[1], prefix), brief=False),
        lambda flip: drawing.render("flip.html", n=flip[0], flip=flip[1], **_flip(flip[1], prefix), brief=True),
        for_short=drawing.for_short,
    )
    lines = case_lines(shown, tags)
    return EvaluationView(
        shown=shown,
        scorers=scorer_lines(shown),
        cost=_ratio(shown.cost.ratio),
        latency=_ratio(shown.latency.ratio),
        distributions=_distributions(shown),
        flips=flips,
        cases=drawing.rows.fit(lines, lambda line: drawing.render("case_row.html", line=line, **known)),
        titles=titles,
        tags=tags,
        slices=drawing.lists.fit(
            sorted(shown.slices, key=_by_p)[:MOST_SLICES], lambda one: drawing.render("slice_row.html", one=one)
        ),
    )


def scorer_lines(shown: EvaluationShown) -> list[ScorerLine]:
    """Scorers in the order of the suite; all differences on one axis."""
    compared = [row.comparison for row in shown.scorers if row.comparison is not None and row.comparison.ratio is None]
    span = difference_span([end for one in compared for end in (one.lower, one.upper, one.margin)])
    return [ScorerLine(row, _plot(row.comparison, span), _bar(row.comparison)) for row in shown.scorers]


def case_lines(shown: EvaluationShown, tags: list[str]) -> list[CaseLine]:
    """Cases, worst first, then as they were given."""
    kinds = {row.title: row.kind for row in shown.scorers}
    flips: dict[str, int] = {}
    for n, flip in numbered(shown.flips):
        flips.setdefault(flip.id, n)
    place = {tag: n for n, tag in enumerate(tags)}
    lines = [
        CaseLine(
            case,
            case_states(case, kinds, flipped=case.id in flips),
            tuple(place[tag] for tag in case.tags if tag in place),
            flips.get(case.id),
        )
        for case in shown.cases
    ]
    return sorted(lines, key=lambda line: STATES.index(line.states[0]))


def case_states(case: CaseRow, kinds: Mapping[str, str], *, flipped: bool) -> tuple[str, ...]:
    """What the filter finds a case by; the first is what its row says.

    worse and better compare assertions and scores with production's; judged = there is nothing to compare with.
    """
    judged = [title for title in case.candidate if kinds.get(title) in LEAST_MOVE]
    more = ["flipped"] if flipped else []
    if any(kinds[title] == "assertion" and _number(case.candidate[title]) < 1 for title in judged):
        more.append("failing")
    if case.status != "finished":
        more.append("unfinished")
    if case.status == "errored" or not case.candidate:
        return ("errored", *more)
    if case.baseline is None:
        return ("judged", *more)
    moved = {t: _number(case.candidate[t]) - _number(case.baseline[t]) for t in judged if t in case.baseline}
    better = any(by > LEAST_MOVE[kinds[title]] for title, by in moved.items())
    worse = any(-by > LEAST_MOVE[kinds[title]] for title, by in moved.items())
    state = "mixed" if worse and better else "worse" if worse else "better" if better else "same"
    return (state, *more)


def _flip(flip: Flip, prefix: str) -> dict[str, Any]:
    return {"prefix": prefix, "calls": aligned_calls(flip.baseline.calls, flip.candidate.calls)}


def _plot(comparison: Comparison | None, span: float) -> IntervalPlot | None:
    if comparison is None:
        return None
    if comparison.ratio is not None:
        return ratio_plot(comparison.ratio, comparison.lower, comparison.upper, comparison.max_rise)
    return difference_plot(comparison.difference, comparison.lower, comparison.upper, comparison.margin, span)


def _bar(comparison: Comparison | None) -> WinBar | None:
    return None if comparison is None else win_bar(comparison.wins, comparison.losses, comparison.ties)


def _ratio(ratio: Ratio | None) -> IntervalPlot | None:
    return None if ratio is None else ratio_plot(ratio.value, ratio.lower, ratio.upper)


def _distributions(shown: EvaluationShown) -> list[Distribution]:
    cases = shown.cases
    found: list[tuple[str, str, Sequence[Value], Sequence[Value]]] = [
        ("cost of a case", "usd", [c.cost_usd for c in cases], [c.baseline_cost_usd for c in cases]),
        ("duration of a case", "ms", [c.duration_ms for c in cases], [c.baseline_duration_ms for c in cases]),
    ]
    for row in shown.scorers:
        if row.kind == "score":
            after = [case.candidate.get(row.title) for case in cases]
            before = [(case.baseline or {}).get(row.title) for case in cases]
            found.append((row.title, "score", after, before))
    plots = (
        (title, kind, histogram(_known(new), _known(old), logarithmic=kind != "score"))
        for title, kind, new, old in found
    )
    return [Distribution(title, kind, plot) for title, kind, plot in plots if plot is not None]


def _by_p(one: Slice) -> tuple[float, float, str, str]:
    """Slices that are least likely chance first, then those that lost most."""
    return (1.0 if one.p_value is None else one.p_value, one.difference or 0.0, one.tag, one.scorer)


def _known(values: Sequence[Value]) -> list[float]:
    return [float(value) for value in values if isinstance(value, bool | int | float)]


def _number(value: Value) -> float:
    return float(value) if isinstance(value, bool | int | float) else 0.0
