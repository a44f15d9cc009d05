"""What the page shows of gates `diff` and `shadow`."""

from dataclasses import dataclass
from typing import Any

from penstock.reporting.allowance import Fitted, numbered
from penstock.reporting.difference import DiffCase, DifferenceShown
from penstock.reporting.drawing import Drawing
from penstock.reporting.plot import WIDTH, IntervalPlot, WinBar, ratio_plot
from penstock.reporting.trajectory import aligned_calls


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """A comparison of two versions as the templates draw it."""

    shown: DifferenceShown
    cost: IntervalPlot | None
    artifact: WinBar | None
    events: WinBar | None
    cases: Fitted


def difference_view(shown: DifferenceShown, drawing: Drawing, prefix: str) -> DifferenceView:
    """Places everything; cases that are equal in all are counted, not listed."""
    ratio = shown.cost.ratio
    listed = [case for case in shown.cases if not case.equal or case.refused]
    return DifferenceView(
        shown=shown,
        cost=None if ratio is None else ratio_plot(ratio.value, ratio.lower, ratio.upper),
        artifact=_share(shown.artifact.equal, shown.artifact.changed),
        events=_share(shown.events.equal, shown.events.changed),
        cases=drawing.pairs.fit(
            numbered(listed),
            lambda case: drawing.render(
                "diff_case.html", n=case[0], case=case[1], **_calls(case[1], prefix), brief=False
            ),
            lambda case: drawing.render(
                "diff_case.html", n=case[0], case=case[1], **_calls(case[1], prefix), brief=True
            ),
            for_short=drawing.for_short,
        ),
    )


def _share(equal: int, changed: int) -> WinBar | None:
    """A bar of changed and equal, drawn as ties and losses are."""
    total = equal + changed
    if total == 0:
        return None
    width = round(WIDTH * changed / total, 1)
    return WinBar(width, WIDTH - width, 0.0, f"{changed} of {total} changed")


def _calls(case: DiffCase, prefix: str) -> dict[str, Any]:
    before = case.baseline.calls if case.baseline is not None else []
    after = case.candidate.calls if case.candidate is not None else []
    return {"prefix": prefix, "calls": aligned_calls(before, after)}
