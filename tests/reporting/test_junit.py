import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest

from penstock.reporting.junit import as_junit
from penstock.reporting.report import Report

MakeReport = Callable[..., Report]

# What GitLab's parser reads of a JUnit file: elements, where they stand, and their attributes.
ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase"},
    "testcase": {"failure", "error", "skipped", "system-out"},
}


def parsed(report: Report) -> ElementTree.Element:
    """The file, found to be of the shape that is read."""
    root = ElementTree.fromstring(as_junit(report))
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.keys()) <= ATTRIBUTES[element.tag]
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
    for element in root.iter("testcase"):
        assert element.get("name")
        assert element.get("classname")
        assert float(element.get("time", "")) >= 0
        assert sum(child.tag != "system-out" for child in element) <= 1
    for element in (root, *root):
        for attribute, tag in (("tests", None), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            cases = [case for case in element.iter("testcase") if tag is None or case.find(tag) is not None]
            assert element.get(attribute) == str(len(cases)), (element.get("name"), attribute)
    return root


def cases_of(root: ElementTree.Element, gate: str) -> dict[str, ElementTree.Element]:
    [suite] = [suite for suite in root if suite.get("name") == gate]
    return {str(case.get("name")): case for case in suite}


def test_a_suite_for_each_gate(make_report: MakeReport) -> None:
    root = parsed(make_report(cases=30))
    assert [suite.get("name") for suite in root] == ["schema", "unit", "contract", "model", "shadow", "diff", "eval"]
    assert root[0].get("time") == "214.200"
    assert set(cases_of(root, "contract")) == {"gate", "plain-sentence", "number-with-limit", "prohibition"}
    assert set(cases_of(root, "unit")) == {"gate", "tools/requirement-search@1.0.0"}


def test_a_failed_gate_fails_with_its_scorer_and_what_became_worse(make_report: MakeReport) -> None:
    cases = cases_of(parsed(make_report(cases=30, flips=3, outcome="failed")), "eval")
    for name in ("gate", "scorer covers-limits", "case case-0001 by covers-limits"):
        failure = cases[name].find("failure")
        assert failure is not None, name
        assert failure.get("message")
    assert cases["scorer quality"].find("failure") is None
    assert cases["case case-0005 by covers-limits"].find("failure") is None, "it became better"
    error = cases["scorer unsupported"].find("error")
    assert error is not None
    assert error.get("message") == "the judge gave no answer"


def test_in_a_gate_that_passed_a_flip_is_told_and_no_failure(make_report: MakeReport) -> None:
    root = parsed(make_report(cases=30, flips=3))
    assert root.get("failures") == "0"
    said = cases_of(root, "eval")["case case-0001 by covers-limits"].findtext("system-out")
    assert said is not None
    assert "$.testCases[2]" in said


@pytest.mark.parametrize(
    ("outcome", "result", "tag", "kind"),
    [
        ("inconclusive", "sha256:1", "failure", "inconclusive"),
        ("errored", "sha256:1", "error", "errored"),
        ("missing", None, "error", "missing"),
        ("missing", "sha256:1", "skipped", None),
        ("skipped", "sha256:1", "skipped", None),
    ],
)
def test_every_outcome_has_its_mark(
    make_report: MakeReport, outcome: str, result: str | None, tag: str, kind: str | None
) -> None:
    document = make_report(cases=5).document
    gate = {**document["gates"][0], "outcome": outcome, "result": result, "startedAt": None, "finishedAt": None}
    case = cases_of(parsed(Report({**document, "gates": [gate]})), "schema")["gate"]
    mark = case.find(tag)
    assert mark is not None
    assert mark.get("type") == kind


@pytest.mark.parametrize("said", ["]]></failure><x>", "\x00\x08\x1b[31m\ufffe", "\u202e", "a" * 100_000, "ümläut 😀"])
def test_what_a_model_said_stays_text(make_report: MakeReport, said: str) -> None:
    data = as_junit(make_report(cases=5, said=said, outcome="failed"))
    parsed(make_report(cases=5, said=said, outcome="failed"))
    assert len(data) < 200_000


@pytest.mark.parametrize("rows", [None, 7, "text", [1, None, {"case": 3}], {"a": 1}])
def test_artifacts_of_any_shape_are_no_fault(make_report: MakeReport, rows: Any) -> None:
    document = make_report(cases=5).document
    gate = {**document["gates"][0], "artifacts": {"cases": rows}}
    assert set(cases_of(parsed(Report({**document, "gates": [gate]})), "schema")) == {"gate"}


def test_rows_say_how_they_ended(make_report: MakeReport) -> None:
    document = make_report(cases=5).document
    rows = [
        {"case": "a", "outcome": "failed", "what": "no stream"},
        {"case": "b", "faults": ["first", "second"]},
        {"tool": "c", "problem": "no test ran", "log": "out"},
        {"case": "d", "outcome": "skipped", "what": "not asked"},
        {"case": "e", "outcome": "unheard of"},
    ]
    gate = {**document["gates"][0], "artifacts": {"cases": rows}}
    cases = cases_of(parsed(Report({**document, "gates": [gate]})), "schema")
    failures = {name: case.findtext("failure") for name, case in cases.items() if case.find("failure") is not None}
    assert failures == {"a": "no stream", "b": "first\nsecond", "c": "no test ran"}
    assert cases["d"].find("skipped") is not None
