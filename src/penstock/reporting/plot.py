"""Where the marks of a plot lie: pure geometry, drawn as inline SVG by the page's templates.

Every plot says in words what it draws (`label`), for whoever cannot see it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.reporting.figures import ratio as ratio_text
from penstock.reporting.figures import signed

WIDTH = 220.0
INSET = 6.0
BINS = 28
HEIGHT = 40.0
LEAST_LOG = math.log(1.1)
"""A ratio axis is never narrower than ±10 %, so that noise does not look like a cliff."""


@dataclass(frozen=True, slots=True)
class IntervalPlot:
    """A point with its interval on an axis from worse to better; `limit` is the margin, None where none is asked.

    All are x positions from 0 to `WIDTH`; `middle` is "as production".
    """

    lower: float
    point: float
    upper: float
    middle: float
    limit: float | None
    label: str


@dataclass(frozen=True, slots=True)
class WinBar:
    """Cases that lost, tied and won against production, as widths that come to `WIDTH`."""

    losses: float
    ties: float
    wins: float
    label: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Two distributions over the same bins: heights of production (down) and of the candidate (up), 0..`HEIGHT`."""

    candidate: tuple[float, ...]
    baseline: tuple[float, ...]
    bar: float
    lowest: float
    highest: float


def difference_span(values: Sequence[float | None]) -> float:
    """Half the axis that all differences of one gate share: their plots can be compared by eye."""
    finite = [abs(value) for value in values if value is not None and math.isfinite(value)]
    return max([0.02, *finite]) * 1.08


def difference_plot(
    point: float | None, lower: float | None, upper: float | None, margin: float | None, span: float
) -> IntervalPlot | None:
    """A difference of means with its interval, and the margin below zero; None where a number is missing."""
    if point is None or lower is None or upper is None or not all(map(math.isfinite, (point, lower, upper))):
        return None
    beside = f", margin {signed(-margin)}" if margin is not None else ""
    label = f"Difference {signed(point)}, interval {signed(lower)} to {signed(upper)}{beside}"
    x = [_on_axis(value, span) for value in (lower, point, upper, 0.0)]
    return IntervalPlot(x[0], x[1], x[2], x[3], None if margin is None else _on_axis(-margin, span), label)


def ratio_plot(
    point: float | None, lower: float | None, upper: float | None, max_rise: float | None = None
) -> IntervalPlot | None:
    """A factor against production on a logarithmic axis; more is to the right. None where there is no interval."""
    numbers = [value for value in (point, lower, upper) if value is not None and value > 0 and math.isfinite(value)]
    if point is None or len(numbers) < 3:
        return None
    logs = [math.log(value) for value in (lower or 1.0, point, upper or 1.0)]
    limit = None if max_rise is None else math.log1p(max_rise)
    span = max([LEAST_LOG, *map(abs, logs), abs(limit or 0.0)]) * 1.15
    beside = f", at most {ratio_text(1 + max_rise)}" if max_rise is not None else ""
    label = f"Ratio {ratio_text(point)}, interval {ratio_text(lower)} to {ratio_text(upper)}{beside}"
    x = [_on_axis(value, span) for value in (*logs, 0.0)]
    return IntervalPlot(x[0], x[1], x[2], x[3], None if limit is None else _on_axis(limit, span), label)


def win_bar(wins: int | None, losses: int | None, ties: int | None) -> WinBar | None:
    """The shares of cases that won, lost and tied; None where there is no case."""
    counts = (losses or 0, ties or 0, wins or 0)
    total = sum(counts)
    if total == 0:
        return None
    left, middle, right = (round(WIDTH * one / total, 1) for one in counts)
    label = f"{counts[2]} won, {counts[0]} lost, {counts[1]} tied against production"
    return WinBar(left, middle, right, label)


def histogram(candidate: Sequence[float], baseline: Sequence[float], *, logarithmic: bool) -> Histogram | None:
    """Both sides' values in `BINS` bins of one axis, `logarithmic` for what only grows; None for fewer than two."""
    values = [value for value in (*candidate, *baseline) if math.isfinite(value) and (value > 0 or not logarithmic)]
    if len(values) < 2:
        return None
    lowest, highest = min(values), max(values)
    start, end = (math.log(lowest), math.log(highest)) if logarithmic else (lowest, highest)
    step = (end - start) / BINS or 1.0
    bins = [_bins(side, start, step, logarithmic=logarithmic) for side in (candidate, baseline)]
    tallest = max(*bins[0], *bins[1], 1)
    heights = [tuple(round(HEIGHT * count / tallest, 1) for count in side) for side in bins]
    return Histogram(heights[0], heights[1], round(WIDTH / BINS, 3), lowest, highest)


def _bins(values: Sequence[float], start: float, step: float, *, logarithmic: bool) -> list[int]:
    counts = [0] * BINS
    for value in values:
        if math.isfinite(value) and (value > 0 or not logarithmic):
            place = math.log(value) if logarithmic else value
            counts[min(BINS - 1, max(0, int((place - start) / step)))] += 1
    return counts


def _on_axis(value: float, span: float) -> float:
    """The x of a value on an axis from -span to span; what lies beyond stands at its end."""
    inside = max(-1.0, min(1.0, value / span))
    return round(WIDTH / 2 + inside * (WIDTH / 2 - INSET), 1)
