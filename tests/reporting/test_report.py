import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Unavailable
from penstock.reporting.files import report_files, store_report, write_report
from penstock.reporting.report import Report, closure_changes

MakeReport = Callable[..., Report]
FILES = {"report.html", "report.json", "junit.xml", "note.md"}


@pytest.fixture
def without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without the extra `evals`."""
    for module in ("drawing", "files"):
        monkeypatch.setattr(f"penstock.reporting.{module}.can_draw", lambda: False)


def test_a_report_names_what_an_approval_binds_to(make_report: MakeReport) -> None:
    made = make_report(cases=10)
    document = made.document
    assert made.folder == f"testcase-generator/1.2.0/{document['evidence'].removeprefix('sha256:')}"
    assert document["baseline"]["version"] == "1.1.0"
    assert len(document["suites"]) == len(document["datasets"]) == 1


def test_the_closure_names_every_document_and_the_code(make_report: MakeReport) -> None:
    lines = make_report(cases=10).document["release"]["closure"]
    assert [line["ref"] for line in lines] == [
        "agents/testcase-generator@1.2.0",
        "models/standard@1.0.0",
        "policies/default@1.0.0",
        "prompts/testcase-generator@1.2.0",
        "tools/requirement-search@1.0.0",
    ]
    assert (lines[4]["files"], lines[4]["params"]) == (1, {"limit": 5})


def test_what_changes_in_production_is_told_document_by_document(make_report: MakeReport) -> None:
    assert [
        (one["document"], one["kind"], one["before"], one["after"]) for one in make_report(cases=10).document["changes"]
    ] == [
        ("agents/testcase-generator", "changed", "agents/testcase-generator@1.1.0", "agents/testcase-generator@1.2.0"),
        (
            "prompts/testcase-generator",
            "changed",
            "prompts/testcase-generator@1.1.0",
            "prompts/testcase-generator@1.2.0",
        ),
    ]


def test_added_removed_and_re_parameterised_documents_are_changes() -> None:
    before: list[dict[str, Any]] = [
        {"ref": "tools/a@1.0.0", "digest": "x", "params": {"n": 1}},
        {"ref": "tools/b@1.0.0", "digest": "x"},
    ]
    after: list[dict[str, Any]] = [
        {"ref": "tools/a@1.0.0", "digest": "x", "params": {"n": 2}},
        {"ref": "tools/c@1.0.0", "digest": "x"},
    ]
    assert [(one["document"], one["kind"]) for one in closure_changes(before, after)] == [
        ("tools/a", "changed"),
        ("tools/b", "removed"),
        ("tools/c", "added"),
    ]
    assert closure_changes(before, before) == []


def test_a_draft_says_that_it_does_not_count(make_report: MakeReport) -> None:
    made = make_report(cases=10, draft=True)
    assert (made.document["evidence"], made.folder) == (None, "testcase-generator/1.2.0/draft")
    files = report_files(made)
    assert "**draft: does not count.**" in files["note.md"].decode()
    assert "draft: does not count" in files["report.html"].decode()
    for name in ("note.md", "report.html"):
        assert "binds to" not in files[name].decode()


def test_the_same_facts_give_the_same_bytes(make_report: MakeReport) -> None:
    files = report_files(make_report(cases=30))
    assert files == report_files(make_report(cases=30))
    assert files.keys() == FILES
    assert json.loads(files["report.json"]) == make_report(cases=30).document
    assert report_files(Report(json.loads(files["report.json"]))) == files


def test_a_lone_surrogate_breaks_no_file(make_report: MakeReport) -> None:
    made = make_report(cases=5).document
    gate = {**made["gates"][0], "reason": "\ud800", "artifacts": {"said": ["\udfff"], "\ud900": 1}}
    document = {**made, "sentence": "own: \ud800", "source": "\udead", "gates": [gate]}
    for data in report_files(Report(document)).values():
        assert data.decode()


def test_files_are_written_and_overwritten_whole(tmp_path: Path, make_report: MakeReport) -> None:
    made = make_report(cases=10)
    place = write_report(tmp_path, made)
    assert place == tmp_path / "reports" / made.folder / "report.html"
    assert {file.name for file in place.parent.iterdir()} == FILES
    assert write_report(tmp_path, made) == place
    assert {file.name for file in place.parent.iterdir()} == FILES


@pytest.mark.usefixtures("without_engine")
def test_without_the_template_engine_all_else_is_as_ever(
    tmp_path: Path, make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_report(cases=10, draft=True)
    (tmp_path / "reports" / made.folder).mkdir(parents=True)
    (tmp_path / "reports" / made.folder / "report.html").write_text("of an earlier check", "utf-8")
    place = write_report(tmp_path, made)
    assert place.name == "note.md"
    assert {file.name for file in place.parent.iterdir()} == FILES - {"report.html"}
    assert "pip install 'penstock[evals]'" in place.read_text("utf-8")


@pytest.mark.usefixtures("without_engine")
def test_a_page_without_the_template_engine_names_the_extra(make_report: MakeReport) -> None:
    from penstock.reporting.page import as_page

    with pytest.raises(Unavailable) as error:
        as_page(make_report(cases=10))
    assert error.value.now == "pip install 'penstock[evals]'"


def test_an_interrupted_write_leaves_the_old_report(
    tmp_path: Path, make_report: MakeReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = write_report(tmp_path, make_report(cases=10, draft=True))
    before = {file.name: file.read_bytes() for file in place.parent.iterdir()}

    def interrupt(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path, make_report(cases=10, draft=True, outcome="failed"))
    assert {file.name: file.read_bytes() for file in place.parent.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, make_report: MakeReport) -> None:
    (tmp_path / "reports").write_text("a file", "utf-8")
    with pytest.raises(Unavailable, match="the report cannot be written"):
        write_report(tmp_path, make_report(cases=10))


class Store:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def put_report(self, evidence: str, name: str, data: bytes) -> bool:
        self.kept[evidence, name] = data
        return True


def test_a_draft_is_never_stored(make_report: MakeReport) -> None:
    store = Store()
    store_report(store, make_report(cases=10, draft=True))
    assert store.kept == {}
    made = make_report(cases=10)
    store_report(store, made)
    assert set(store.kept) == {(made.document["evidence"], name) for name in FILES}
