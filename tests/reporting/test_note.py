import re
from collections.abc import Callable
from typing import Any

import pytest

from penstock.reporting.markdown import code, escape, table
from penstock.reporting.note import MOST_BYTES, as_note
from penstock.reporting.report import Report

MakeReport = Callable[..., Report]

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "a | b\n\n# Title\n- item",
    "`code` **bold** _it_ ~~gone~~",
    "@all see #12 and !34, $5 &6 %7",
    "https://evil.example www.evil.example mail@evil.example",
    "</details><img src=x onerror=alert(1)>",
    "line\u2028separator\x00null\x1b[31m",
    "&lt;script&gt;",
    "\u202ereversed\u2066",
]


def test_the_verdict_comes_first_with_the_sentence_why(make_report: MakeReport) -> None:
    lines = [line for line in as_note(make_report(cases=20, outcome="failed")).splitlines() if line]
    assert lines[0] == "# testcase-generator@1.2.0 before canary"
    assert lines[1] == "**❌ failed**: eval&#58; covers-limits&#58; 0.912 is not at least 0.95"


def test_candidate_and_production_stand_side_by_side_with_intervals(make_report: MakeReport) -> None:
    note = as_note(make_report(cases=200))
    [row] = [line for line in note.splitlines() if line.startswith("| covers-limits |")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "covers-limits",
        r"0.912 \[0.893, 0.928\]",
        "0.925",
        r"−0.013 \[−0.031, +0.005\]",
        "4, 5",
        "≥ 0.85, margin 0.05",
        "✅ passed",
    ]
    assert r"- cost of all runs \$1.27; production \$1.22, ×1.04 \[×1.01, ×1.07\] a case" in note


def test_the_first_five_flips_are_told_with_where_they_differ(make_report: MakeReport) -> None:
    note = as_note(make_report(cases=60, flips=12))
    assert "## 12 cases flipped, the first 5" in note
    flips = [line for line in note.splitlines() if line.startswith("- ▼")]
    assert len(flips) == 5
    assert "case-0001" in flips[0]
    assert r"\$.testCases\[2\]" in flips[0]


def test_it_names_every_digest_that_an_approval_rests_on(make_report: MakeReport) -> None:
    document = make_report(cases=20).document
    note = as_note(make_report(cases=20))
    digests = [document["evidence"], document["release"]["digest"], document["baseline"]["digest"]]
    for digest in [*digests, *document["suites"], *document["datasets"]]:
        assert f"`{digest}`" in note


def test_what_was_not_measured_is_said(make_report: MakeReport) -> None:
    note = as_note(make_report(cases=20))
    section = note.split("## Not measured")[1].split("\n## ")[0]
    for said in ("429 after 5 tries", "the judge gave no answer", "was not carried out"):
        assert said in section


def test_decisions_so_far_are_shown_with_how_the_person_was_identified(make_report: MakeReport) -> None:
    [line] = [one for one in as_note(make_report(cases=20, said="<b>now</b>")).splitlines() if "approve for" in one]
    assert "Grace Hopper grace&#64;example.org (git-config)" in line
    assert "&lt;b&gt;now&lt;/b&gt;" in line


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_model_said_is_shown_and_never_interpreted(make_report: MakeReport, text: str) -> None:
    note = as_note(make_report(cases=12, said=text, outcome="failed"))
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", note)
    assert "<script" not in outside
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"(?i)https?://|javascript:|www\.", outside)
    assert "@" not in outside.split("\n", 1)[1]
    assert "\u202e" not in note
    for row in re.findall(r"(?m)^\| (?:eval|model) \|.*$", outside):
        assert len(re.findall(r"(?<!\\)\|", row)) in {4, 6}
    assert outside.count("<details>") == outside.count("</details>")


@pytest.mark.parametrize("said", ["x" * 50_000, "|" * 20_000, "`" * 9_000])
def test_it_stays_below_60_kb_and_whole(make_report: MakeReport, said: str) -> None:
    note = as_note(make_report(cases=1_000, flips=100, said=said))
    assert len(note.encode()) <= MOST_BYTES
    assert note.startswith("# testcase-generator")
    assert "## What was judged" in note
    assert note.endswith("/report.html`.\n")
    assert note.count("<details>") == note.count("</details>")


def test_a_note_of_thousands_of_gates_still_says_the_verdict(make_report: MakeReport) -> None:
    document: dict[str, Any] = make_report(cases=5).document
    document = {**document, "gates": [{**document["gates"][0], "reason": "x" * 300}] * 2_000}
    note = as_note(Report(document))
    assert len(note.encode()) <= MOST_BYTES
    assert "✅ passed" in note
    assert note.endswith("The rest is too long for a note: see report.json.\n")


def test_a_code_block_cannot_be_closed_from_within() -> None:
    block = code("before\n```\n# not a title\n````\nafter")
    fence = block.splitlines()[0].removesuffix("text")
    assert block.splitlines()[-1] == fence
    assert fence not in block.removeprefix(fence).removesuffix(fence)


def test_long_texts_are_cut() -> None:
    assert len(escape("x" * 10_000)) <= 301
    assert "x" * 10 + "\n" in code("y" * 10_000 + "x" * 10)
    assert len(code("y" * 10_000)) < 5_000


def test_a_table_has_its_ruler() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n|---|---|\n| 1 | 2 |"
