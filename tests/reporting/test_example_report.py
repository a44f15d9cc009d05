import json
from pathlib import Path

from penstock.reporting.markdown import as_markdown
from penstock.reporting.report import REPORT_SCHEMA, Report

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"


def test_the_example_is_what_reports_look_like_today() -> None:
    document = json.loads((EXAMPLE / "report.json").read_bytes())
    assert document["schema"] == REPORT_SCHEMA
    assert (EXAMPLE / "report.md").read_text("utf-8") == as_markdown(Report(document))


def test_the_example_shows_evidence_that_counts() -> None:
    document = json.loads((EXAMPLE / "report.json").read_bytes())
    assert (document["draft"], document["verdict"]) == (False, "passed")
    assert document["evidence"].startswith("sha256:")
    assert [gate["gate"] for gate in document["gates"]] == ["schema", "unit", "contract"]
