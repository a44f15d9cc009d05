"""The report as one HTML file: verdict first, nothing loaded, nothing sent, below 1 MB, readable without its script."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.reporting.allowance import Fitted
from penstock.reporting.artifact import shown_artifacts
from penstock.reporting.content_policy import content_policy
from penstock.reporting.dataset import distinct
from penstock.reporting.difference_view import DifferenceView, difference_view
from penstock.reporting.drawing import TEMPLATES, Drawing, new_drawing
from penstock.reporting.evaluation_view import EvaluationView, evaluation_view
from penstock.reporting.gate_facts import GateFacts, gate_facts
from penstock.reporting.report import Report
from penstock.reporting.unmeasured import unmeasured


@dataclass(frozen=True, slots=True)
class GateView:
    """One gate as the page shows it; `artifacts` are those that no other part of it shows.

    `title` is its name, with a number where a gate of that name stands before it.
    """

    document: dict[str, Any]
    title: str
    anchor: str
    evaluation: EvaluationView | None
    difference: DifferenceView | None
    artifacts: Fitted

    @property
    def has_details(self) -> bool:
        """Whether there is more to it than its line."""
        return self.evaluation is not None or self.difference is not None or self.artifacts.of > 0


def as_page(report: Report) -> str:
    """The whole page; raises `Unavailable` without the template engine (extra `evals`)."""
    facts = gate_facts(report.document)
    evaluations = [gate.evaluation for gate in facts if gate.evaluation is not None]
    drawing = new_drawing(sum(len(shown.cases) for shown in evaluations))
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    return drawing.render(
        "page.html",
        document=report.document,
        policy=content_policy(style, script),
        style=_trusted(style),
        script=_trusted(script),
        gates=[
            _gate_view(drawing, f"gate-{n}", title, gate) for n, (title, gate) in enumerate(_titled(facts), start=1)
        ],
        judges=[row for shown in evaluations for row in shown.scorers if row.judge or row.calibration],
        datasets=[
            (row, drawing.lists.fit(row.checks, lambda check: drawing.render("check_row.html", check=check)))
            for row in distinct(gate.datasets for gate in facts if gate.datasets is not None)
        ],
        unmeasured=drawing.lists.fit(unmeasured(facts), lambda one: drawing.render("unmeasured_row.html", one=one)),
    )


def _titled(gates: list[GateFacts]) -> Iterator[tuple[str, GateFacts]]:
    """Each gate with its name, which is made its own where a gate with other parameters has it too."""
    seen: Counter[str] = Counter()
    for gate in gates:
        seen[gate.name] += 1
        yield gate.name if seen[gate.name] == 1 else f"{gate.name} ({seen[gate.name]})", gate


def _gate_view(drawing: Drawing, anchor: str, title: str, gate: GateFacts) -> GateView:
    evaluation, difference = gate.evaluation, gate.difference
    return GateView(
        document=gate.document,
        title=title,
        anchor=anchor,
        evaluation=None if evaluation is None else evaluation_view(evaluation, drawing, f"{anchor}-"),
        difference=None if difference is None else difference_view(difference, drawing, f"{anchor}-"),
        artifacts=drawing.artifacts.fit(
            shown_artifacts(gate.other_artifacts),
            lambda one: drawing.render("artifact.html", artifact=one, short=False, title=title),
            lambda one: drawing.render("artifact.html", artifact=one, short=True, title=title),
            for_short=2_000,
        ),
    )


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text("utf-8")


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # our own files, not data
