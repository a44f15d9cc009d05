import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.evidence import Approval, Evidence
from penstock.contracts.gate_result import GateResult
from penstock.contracts.release import Release
from penstock.errors import Unavailable
from penstock.gates.evidence import EvidenceView, StandingGate
from penstock.reporting.files import report_files, store_report, write_report
from penstock.reporting.markdown import as_markdown, code, escape
from penstock.reporting.report import Report, build_report

NOTHING = digest_bytes(b"")


def part(kind: str, ref: str, spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    name, _, version = ref.partition("/")[2].partition("@")
    metadata = {"name": name, "version": version, "owner": "qa"}
    document = {"apiVersion": "penstock.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}
    return {"ref": ref, "digest": NOTHING, "document": document, **fields}


def release(version: str) -> Release:
    tool = part("Tool", "tools/search@1.0.0", {}, params={"limit": 5}, files=[{"path": "tool.py", "digest": NOTHING}])
    return Release.model_validate(
        {
            "agent": part("Agent", f"agents/echo@{version}", {}),
            "prompt": part("Prompt", "prompts/echo@1.0.0", {}, body=NOTHING),
            "tools": [tool],
            "policies": [part("Policy", "policies/default@1.0.0", {})],
            "models": [part("Model", "models/standard@1.0.0", {})],
            "minEngine": "0.1.0",
        }
    )


def result(candidate: Release, outcome: Any = "passed", **fields: Any) -> GateResult:
    return GateResult(
        gate="contract",
        outcome=outcome,
        reason=fields.pop("reason", "2 cases hold"),
        release=candidate.digest,
        suite=NOTHING,
        started_at="2026-11-20T10:00:00.000000Z",
        finished_at="2026-11-20T10:00:01.000000Z",
        inputs={"release": candidate.digest},
        origin="released",
        **fields,
    ).sealed()


def view(candidate: Release, *results: GateResult, draft: bool = False) -> EvidenceView:
    gates = tuple(StandingGate("dev", found.gate, {"timeoutS": 120}, found) for found in results)
    evidence = Evidence(
        release=candidate.digest, baseline=None, stage="canary", results=sorted(found.id for found in results)
    )
    return EvidenceView("echo", candidate.version, "canary", gates, evidence, draft)


def report(*, draft: bool = False, approvals: list[Approval] | None = None, **fields: Any) -> Report:
    candidate = release("1.1.0")
    judged = view(candidate, result(candidate, **fields), draft=draft)
    return build_report(
        judged,
        candidate,
        source="commit 0123456789ab",
        baseline=release("1.0.0"),
        authors=["ada@example.org"],
        approvals=approvals or [],
    )


def test_the_verdict_comes_first_with_the_sentence_why() -> None:
    text = as_markdown(report(outcome="failed", reason="1 of 2 cases failed"))
    lines = [line for line in text.splitlines() if line]
    assert lines[0] == "# echo\\@1.1.0 before canary".replace("\\@", "@")
    assert lines[1] == "**❌ failed**: contract&#58; 1 of 2 cases failed"


def test_a_report_names_what_an_approval_binds_to() -> None:
    made = report(measured={"cases": 2}, limit=1)
    document = made.document
    assert made.folder == f"echo/1.1.0/{document['evidence'].removeprefix('sha256:')}"
    assert document["release"]["digest"] == release("1.1.0").digest
    assert document["baseline"] == {"version": "1.0.0", "digest": release("1.0.0").digest}
    assert document["suites"] == [NOTHING]
    text = as_markdown(made)
    for digest in (document["evidence"], document["release"]["digest"], document["baseline"]["digest"], NOTHING):
        assert f"`{digest}`" in text
    assert "| contract | ✅ passed | 2 cases hold | cases 2 | 1 |" in text
    assert "tools/search&#64;1.0.0" in text


def test_the_closure_names_every_document_and_the_code() -> None:
    lines = report().document["release"]["closure"]
    assert [line["ref"] for line in lines] == [
        "agents/echo@1.1.0",
        "models/standard@1.0.0",
        "policies/default@1.0.0",
        "prompts/echo@1.0.0",
        "tools/search@1.0.0",
    ]
    assert (lines[4]["files"], lines[4]["params"]) == (1, {"limit": 5})


def test_a_draft_says_that_it_does_not_count() -> None:
    made = report(draft=True)
    assert (made.document["evidence"], made.folder) == (None, "echo/1.1.0/draft")
    assert "**draft: does not count.**" in as_markdown(made)
    assert "Evidence" not in as_markdown(made)


def test_approvals_so_far_are_shown_with_how_the_person_was_identified() -> None:
    approval = Approval(
        kind="approve",
        evidence=NOTHING,
        release=NOTHING,
        stage="canary",
        who="boss@example.org",
        name="Boss",
        at="2026-11-20T11:00:00.000000Z",
        expires_at="2026-11-27T11:00:00.000000Z",
        comment="ship it | <b>now</b>",
    )
    text = as_markdown(report(approvals=[approval]))
    [line] = [line for line in text.splitlines() if line.startswith("- approve")]
    assert "Boss boss&#64;example.org (git-config)" in line
    assert "&lt;b&gt;now&lt;/b&gt;" in line
    assert "no approval so far" not in text
    assert "no approval so far" in as_markdown(report())


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
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_model_said_is_shown_and_never_interpreted(text: str) -> None:
    made = report(outcome="failed", reason=text, measured={"said": text}, artifacts={"said": text, text: ["x"]})
    markdown = as_markdown(made)
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", markdown)
    assert "<script" not in outside
    assert "<img" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert not re.search(r"(?i)https?://|javascript:|www\.", outside)
    assert "@" not in outside.split("\n", 1)[1]
    [row] = [line for line in markdown.splitlines() if line.startswith("| contract |")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_a_code_block_cannot_be_closed_from_within() -> None:
    block = code("before\n```\n# not a title\n````\nafter")
    fence = block.splitlines()[0].removesuffix("text")
    assert block.splitlines()[-1] == fence
    assert fence not in block.removeprefix(fence).removesuffix(fence)


def test_long_texts_are_cut() -> None:
    assert len(escape("x" * 10_000)) <= 301
    assert "x" * 10 + "\n" in code("y" * 10_000 + "x" * 10)
    assert len(code("y" * 10_000)) < 5_000


def test_the_same_facts_give_the_same_bytes() -> None:
    assert report_files(report()) == report_files(report())
    assert json.loads(report_files(report())["report.json"]) == report().document


def test_files_are_written_and_overwritten_whole(tmp_path: Path) -> None:
    place = write_report(tmp_path, report())
    assert place == tmp_path / "reports" / report().folder / "report.md"
    assert {file.name for file in place.parent.iterdir()} == {"report.json", "report.md"}
    assert write_report(tmp_path, report()) == place
    assert {file.name for file in place.parent.iterdir()} == {"report.json", "report.md"}


def test_an_interrupted_write_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write_report(tmp_path, report(draft=True))
    before = place.read_bytes()

    def interrupt(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, report(draft=True, outcome="failed"))
    assert place.read_bytes() == before
    assert {file.name for file in place.parent.iterdir()} == {"report.json", "report.md"}


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file", "utf-8")
    with pytest.raises(Unavailable, match="the report cannot be written"):
        write_report(tmp_path, report())


class Store:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def put_report(self, evidence: str, name: str, data: bytes) -> bool:
        self.kept[evidence, name] = data
        return True


def test_a_draft_is_never_stored() -> None:
    store = Store()
    store_report(store, report(draft=True))
    assert store.kept == {}
    store_report(store, report())
    assert {name for _, name in store.kept} == {"report.json", "report.md"}
