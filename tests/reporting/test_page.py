import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from penstock.reporting.content_policy import CLOSED, content_policy, policy_to_serve
from penstock.reporting.page import as_page
from penstock.reporting.report import Report

MakeReport = Callable[..., Report]
VOID = {"meta", "line", "rect", "circle", "input", "br", "link", "img", "base"}
HOSTILE = [
    "<script>alert(1)</script>",
    "</style></script></title><img src=x onerror=alert(1)>",
    "]]>--><!-- {{ 7*7 }} {% raw %}",
    '" onmouseover="alert(1)" x=\'',
    "&lt;b&gt; &#60;i&#62;",
    "javascript:alert(1)",
]


class Outline(HTMLParser):
    """Reads a page strictly: every element that opens closes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_it_leads_with_the_verdict_and_the_sentence_why(make_report: MakeReport) -> None:
    text = Outline(as_page(make_report(cases=20, outcome="failed"))).text
    assert text.index("failed eval: covers-limits: 0.912 is not at least 0.95") < text.index("Gates")


def test_it_names_every_digest(make_report: MakeReport) -> None:
    report = make_report(cases=20)
    document, page = report.document, as_page(report)
    of_closure = [line["digest"] for line in document["release"]["closure"]]
    digests = [document["evidence"], document["release"]["digest"], document["baseline"]["digest"], *of_closure]
    judges = [row["judge"]["release"] for row in document["gates"][6]["artifacts"]["scorers"] if row["judge"]]
    assert judges
    for digest in [*digests, *document["suites"], *document["datasets"], *judges]:
        assert f"data-copy>{digest}</code>" in page


def test_every_section_of_every_gate_is_there(make_report: MakeReport) -> None:
    outline = Outline(as_page(make_report(cases=40, flips=6)))
    for said in (
        "Cases that flipped",
        "Tool calls, aligned",
        "What differs in the output",
        "Distributions",
        "Slices",
        "noise floor",
        "0 wrote",
        "not carried out",
        "distribution as before",
        "alpha 0.81 [0.72, 0.88] on 120 labelled answers of judge-labels",
        "not in the sample",
        "prompts/testcase-generator@1.1.0",
        "agentctl approve testcase-generator@1.2.0 --to canary --report",
        "Grace Hopper",
    ):
        assert said in outline.text, said
    assert len(outline.all("svg")) > 10
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in outline.all("svg"))


def test_what_did_not_pass_cannot_be_approved_by_what_the_page_says(make_report: MakeReport) -> None:
    text = Outline(as_page(make_report(cases=10, outcome="inconclusive"))).text
    assert "agentctl approve" not in text
    assert "agentctl reject" in text


def test_nothing_is_loaded_and_nothing_runs_but_its_own_script(make_report: MakeReport) -> None:
    page = as_page(make_report(cases=20))
    outline = Outline(page)
    [policy] = [meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    style, script = (re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL) for tag in ("style", "script"))
    assert style is not None
    assert script is not None
    assert policy == content_policy(style[1], script[1])
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < 300, "before anything that it must hold for"
    for tag, attributes in outline.tags:
        assert not {name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}}, tag
        assert str(attributes.get("href", "#")).startswith("#"), tag
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.parametrize("said", HOSTILE)
def test_what_a_model_said_is_escaped(make_report: MakeReport, said: str) -> None:
    page = as_page(make_report(cases=10, said=said, outcome="failed"))
    outline = Outline(page)
    assert said in outline.text
    plain = Outline(as_page(make_report(cases=10, outcome="failed")))
    assert [tag for tag, _ in outline.tags] == [tag for tag, _ in plain.tags]
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert script is not None
    assert said not in script[1]


def test_what_cannot_be_seen_is_shown(make_report: MakeReport) -> None:
    page = as_page(make_report(cases=10, said="a\u202eb\u200bc\x1b[31m\ufeff"))
    assert "a⟦U+202E⟧b⟦U+200B⟧c⟦U+001B⟧[31m⟦U+FEFF⟧" in page
    assert not re.search("[\u202e\u200b\x1b\ufeff]", page)


def test_long_texts_are_cut_and_the_cut_is_said(make_report: MakeReport) -> None:
    page = as_page(make_report(cases=10, said="y" * 100_000))
    assert "characters more]" in page
    assert "y" * 5_000 not in page
    assert len(page) < 300_000


@pytest.mark.parametrize("said", ["Refuses an empty value", "<&>\"'" * 2_000, "ü😀" * 3_000])
def test_a_thousand_cases_are_below_a_megabyte(make_report: MakeReport, said: str) -> None:
    page = as_page(make_report(cases=1_000, flips=100, said=said, outcome="failed"))
    assert len(page.encode()) <= 1_000_000
    assert page.count("<tr data-v=") == 1_000


def test_whatever_is_found_it_stays_below_a_megabyte(make_report: MakeReport) -> None:
    page = as_page(make_report(cases=12_000, flips=100, said="<" * 9_000))
    assert len(page.encode()) <= 1_000_000
    assert re.search(r"[\d,]+ cases of 12000 shown, to keep this page small: report.json has all", Outline(page).text)
    assert page.index('data-v="errored') < page.index('data-v="same'), "what is left out is what did not change"


def test_short_forms_say_that_they_are(make_report: MakeReport) -> None:
    page = as_page(make_report(cases=200, flips=100, said="z" * 3_000))
    assert page.count("Shortened to keep this page small") > 10
    assert page.count("-flip-100") >= 1, "the last flip is named too"


def test_everything_skipped_or_errored_is_listed(make_report: MakeReport) -> None:
    text = Outline(as_page(make_report(cases=20, outcome="missing"))).text
    section = text.split("Everything that was skipped or errored")[1]
    for said in ("the gate is missing it has not run", "429 after 5 tries", "the judge gave no answer"):
        assert said in section


@pytest.mark.parametrize(
    "artifacts",
    [
        {"said": "<b>", "<i>": ["x"]},
        {"scorers": "none"},
        {"scorers": [{"title": "t", "mean": "much"}]},
        {"pairs": "many", "cases": [[]]},
        {"rows": [{"a": 1, "b": {"c": [1, 2]}}, {"z": None}], "deep": {"a": {"b": [1, {"c": None}]}}},
        {"log": "line\n" * 5_000, "list": list(range(100_000))},
        {"scorers": []},
        {"pairs": 0},
    ],
)
def test_artifacts_of_any_shape_are_shown(make_report: MakeReport, artifacts: dict[str, Any]) -> None:
    document = make_report(cases=5).document
    page = as_page(Report({**document, "gates": [{**document["gates"][0], "artifacts": artifacts}]}))
    Outline(page)
    assert len(page) < 200_000


def test_a_gate_that_stands_twice_has_two_names(make_report: MakeReport) -> None:
    document = make_report(cases=5).document
    gates = [document["gates"][6], document["gates"][6]]
    outline = Outline(as_page(Report({**document, "gates": gates})))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert "eval (2)" in outline.text


def test_a_page_without_gates_or_production(make_report: MakeReport) -> None:
    document = {**make_report(cases=5).document, "gates": [], "baseline": None, "changes": [], "approvals": []}
    text = Outline(as_page(Report(document))).text
    assert "No gate stands before canary" in text
    assert "none: prod serves no version" in text
    assert "No decision so far" in text


def test_an_evaluation_without_production(make_report: MakeReport) -> None:
    document = json.loads(json.dumps(make_report(cases=20).document))
    found = document["gates"][6]["artifacts"]
    found |= {"flips": [], "slices": [], "flipsInAll": 0}
    for case in found["cases"]:
        case |= {"baseline": None, "baselineCostUsd": None, "baselineDurationMs": None}
    for scorer in found["scorers"]:
        scorer |= {"comparison": None, "baselineMean": None}
    text = Outline(as_page(Report(document))).text
    assert "not compared" in text
    assert "judged" in text


def test_a_stored_page_is_served_with_its_own_policy_in_a_sandbox(make_report: MakeReport) -> None:
    page = as_page(make_report(cases=5)).encode()
    policy = policy_to_serve(page)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'none'; sandbox allow-scripts")


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<script>alert(1)</script>",
        b"\xff\xfe",
        b'<meta http-equiv="Content-Security-Policy" content="default-src *; script-src \'unsafe-inline\'">',
        b"x" * 2_000 + b'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">',
    ],
)
def test_any_other_page_can_do_nothing(page: bytes) -> None:
    assert policy_to_serve(page) == CLOSED
