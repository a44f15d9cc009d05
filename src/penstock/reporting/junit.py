"""The report as JUnit XML, of the shape that GitLab and other CI servers read: a suite for each gate.

GitLab takes `testsuites/testsuite/testcase` with name, classname, time, and failure, error or skipped below; whatever
else a case says stands in its system-out.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from penstock.reporting.evaluation import EvaluationShown, Flip, ScorerRow
from penstock.reporting.gate_facts import gate_facts
from penstock.reporting.report import Report
from penstock.reporting.visible_text import cut, one_line, visible

MESSAGE = 300
TEXT = 4_000
MOST_CASES = 500
_BAD: Mapping[str, Literal["failure", "error", "skipped"]] = {
    "failed": "failure",
    "inconclusive": "failure",
    "errored": "error",
    "missing": "error",
    "skipped": "skipped",
}


@dataclass(frozen=True, slots=True)
class TestCase:
    """One line of a suite. `outcome` is a gate's word; all but `_BAD` pass. `said` goes to system-out."""

    __test__ = False  # for pytest, which collects classes of this name

    name: str
    outcome: str
    message: str = ""
    said: str = ""


def as_junit(report: Report) -> bytes:
    """The XML document, UTF-8."""
    document = report.document
    root = ElementTree.Element("testsuites", name=visible(f"{document['agent']}@{document['version']}"))
    for gate in gate_facts(document):
        cases = [_gate_case(gate.document), *_cases(gate.document, gate.evaluation)]
        root.append(_suite(document, gate.document, cases[:MOST_CASES]))
    _count(root, list(root))
    ElementTree.indent(root)
    written: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}\n'.encode()


def _gate_case(gate: Mapping[str, Any]) -> TestCase:
    """The gate itself. One that ran and was skipped is skipped, whatever that means for the stage."""
    outcome = "skipped" if gate["outcome"] == "missing" and gate["result"] is not None else gate["outcome"]
    return TestCase("gate", outcome, gate["reason"])


def _cases(gate: Mapping[str, Any], evaluation: EvaluationShown | None) -> Iterator[TestCase]:
    if evaluation is not None:
        yield from (_scorer_case(row) for row in evaluation.scorers)
        yield from (_flip_case(flip, str(gate["outcome"])) for flip in evaluation.flips)
        return
    rows = gate["artifacts"].get("cases", gate["artifacts"].get("tools", []))
    if isinstance(rows, list):
        yield from (case for case in map(_row_case, rows) if case is not None)


def _scorer_case(row: ScorerRow) -> TestCase:
    return TestCase(f"scorer {row.title}", row.outcome, row.reason)


def _flip_case(flip: Flip, outcome: str) -> TestCase:
    """A case that became worse fails where its gate does not pass; elsewhere it is told and passes."""
    blamed = flip.direction == "worse" and outcome in {"failed", "inconclusive"}
    changed = "\n".join(
        f"{change.path}: {one_line(change.before, MESSAGE)} -> {one_line(change.after, MESSAGE)}"
        for change in flip.difference[:10]
    )
    message = f"{flip.direction} than in production: {flip.reason}".removesuffix(": ")
    return TestCase(f"case {flip.id} by {flip.scorer}", "failed" if blamed else "passed", message, changed)


def _row_case(row: Any) -> TestCase | None:
    """A row of a gate that lists cases or tools; None for a row that names neither."""
    name = row.get("case") or row.get("tool") if isinstance(row, dict) else None
    if not isinstance(name, str):
        return None
    faults = row.get("faults") or row.get("failures") or row.get("problem") or []
    said = faults if isinstance(faults, str) else "\n".join(map(str, faults)) if isinstance(faults, list) else ""
    outcome = row.get("outcome") if row.get("outcome") in {*_BAD, "passed"} else "failed" if said else "passed"
    return TestCase(name, str(outcome), said or str(row.get("what") or ""), str(row.get("log") or ""))


def _suite(document: Mapping[str, Any], gate: Mapping[str, Any], cases: list[TestCase]) -> ElementTree.Element:
    name = visible(str(gate["gate"]))
    suite = ElementTree.Element("testsuite", name=name, time=f"{_seconds(gate):.3f}")
    if gate["startedAt"]:
        suite.set("timestamp", str(gate["startedAt"]))
    for case in cases:
        classname = f"{document['agent']}.{document['version']}.{name}"
        seconds = _seconds(gate) if case.name == "gate" else 0.0
        element = ElementTree.SubElement(
            suite,
            "testcase",
            name=visible(cut(case.name, MESSAGE)),
            classname=visible(classname),
            time=f"{seconds:.3f}",
        )
        if case.outcome in _BAD:
            bad = ElementTree.SubElement(element, _BAD[case.outcome], message=one_line(case.message, MESSAGE))
            if _BAD[case.outcome] != "skipped":
                bad.set("type", case.outcome)
                bad.text = visible(cut(case.message, TEXT))
        said = case.said if case.outcome in _BAD else "\n".join(filter(None, (case.message, case.said)))
        if said:
            ElementTree.SubElement(element, "system-out").text = visible(cut(said, TEXT))
    _count(suite, [suite])
    return suite


def _count(element: ElementTree.Element, suites: list[ElementTree.Element]) -> None:
    """Writes how many cases there are, and how many of each kind."""
    cases = [case for suite in suites for case in suite.iter("testcase")]
    element.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _seconds(gate: Mapping[str, Any]) -> float:
    """How long the gate took; 0 where nothing is known."""
    try:
        ended, began = (datetime.fromisoformat(str(gate[name])) for name in ("finishedAt", "startedAt"))
    except ValueError:
        return 0.0
    return max(0.0, (ended - began).total_seconds())
