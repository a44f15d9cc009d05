"""Intervals against production as a picture that Dagster shows: SVG in an image's address, for Markdown."""

import base64
from collections.abc import Sequence
from xml.sax.saxutils import escape

from penstock.reporting.evaluation import ScorerRow
from penstock.reporting.plot import WIDTH, IntervalPlot, difference_plot, difference_span, ratio_plot
from penstock.reporting.visible_text import one_line

MOST_ROWS = 40
ROW_HEIGHT, NAMES, WORDS = 24, 175, 345
LONGEST_NAME = 26
COLOURS = {"failed": "#d1495b", "errored": "#d1495b", "inconclusive": "#c98a00", "passed": "#2e8b57"}
GREY = "#808080"  # reads on Dagster's light and on its dark page


def intervals_picture(scorers: Sequence[ScorerRow]) -> str | None:
    """Markdown with one picture: each scorer's difference from production with its interval and margin.

    Differences share one axis, worse on the left; ratios (more on the right) have their own. None where no scorer has
    an interval. At most `MOST_ROWS` scorers.
    """
    rows = [(one, plot) for one, plot in _plots(scorers) if plot is not None][:MOST_ROWS]
    if not rows:
        return None
    drawn = "".join(_row(number, one, plot) for number, (one, plot) in enumerate(rows))
    size = f'width="{NAMES + int(WIDTH) + WORDS}" height="{ROW_HEIGHT * len(rows)}"'
    style = 'font-family="sans-serif" font-size="10"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{drawn}</svg>'
    return f"![Intervals against production](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _plots(scorers: Sequence[ScorerRow]) -> list[tuple[ScorerRow, IntervalPlot | None]]:
    compared = [(one, one.comparison) for one in scorers if one.comparison is not None]
    ends = [end for _, found in compared if found.ratio is None for end in (found.lower, found.upper, found.margin)]
    span = difference_span(ends)
    return [
        (
            one,
            ratio_plot(found.ratio, found.lower, found.upper, found.max_rise)
            if found.ratio is not None
            else difference_plot(found.difference, found.lower, found.upper, found.margin, span),
        )
        for one, found in compared
    ]


def _row(number: int, scorer: ScorerRow, plot: IntervalPlot) -> str:
    colour = COLOURS.get(scorer.outcome, GREY)
    y = ROW_HEIGHT * number + ROW_HEIGHT // 2
    top, bottom = y - 9, y + 9
    marks = [
        f'<text x="4" y="{y + 4}" fill="{GREY}">{_name(scorer.title)}</text>',
        _line(plot.middle, plot.middle, (top, bottom), GREY),
        _line(plot.lower, plot.upper, (y, y), colour, width=3),
        f'<circle cx="{NAMES + plot.point}" cy="{y}" r="4" fill="{colour}"/>',
        f'<text x="{NAMES + WIDTH + 8}" y="{y + 4}" fill="{colour}">{escape(plot.label)}</text>',
    ]
    if plot.limit is not None:
        marks.append(_line(plot.limit, plot.limit, (top, bottom), colour, dashes=' stroke-dasharray="3 2"'))
    return "".join(marks)


def _line(start: float, end: float, heights: tuple[int, int], colour: str, *, width: int = 1, dashes: str = "") -> str:
    x = f'x1="{NAMES + start}" x2="{NAMES + end}"'
    return f'<line {x} y1="{heights[0]}" y2="{heights[1]}" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def _name(title: str) -> str:
    """As much of a scorer's title as there is room for; all of it stands in the table."""
    line = one_line(title, LONGEST_NAME * 2)
    return escape(line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…")
