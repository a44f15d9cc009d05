"""What Dagster shows of a gate: real findings as tables, figures and a picture, and odd ones without breaking."""

import base64
import functools
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pytest

from penstock.contracts.gate_result import GateResult
from penstock.contracts.pipeline import GateUse
from penstock.gates import measuring
from penstock.gates.draft import draft_context
from penstock.gates.gate import run_gate
from penstock.orchestration.gate_metadata import gate_figures, gate_metadata
from penstock.orchestration.metadata_table import LONGEST_CELL, MOST_ROWS, metadata_table
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scoring.rig import open_rig
from penstock.settings import load_settings
from penstock.testing.eval_project import Answers, eval_project, questions
from penstock.testing.fake_provider import FakeProvider

CASES, WRONG = 20, 8
DIFFERENCE = {
    "pairs": 4,
    "artifact": {
        "equal": 3,
        "changed": 1,
        "share": 0.25,
        "noiseFloor": {"share": 0.0, "lower": 0.0, "upper": 0.49, "pairs": 4},
        "byPath": [{"path": "$.answer", "changed": 1}],
    },
    "events": {"equal": 4, "changed": 0, "share": 0.0, "noiseFloor": None, "moved": 0, "missing": 0, "added": 0},
    "cost": {"baselineUsd": 0.25, "candidateUsd": 0.5, "ratio": {"value": 2.0, "lower": 1.5, "upper": 2.5}},
    "slo": {"successRate": [1.0, 0.75], "p50Ms": [1.0, 2.0], "p95Ms": [None, 4.0], "ttftP50Ms": []},
    "cases": [
        {
            "id": "c1",
            "source": "recorded",
            "equal": False,
            "difference": [{"path": "$.answer", "kind": "changed", "before": "a", "after": "b"}],
            "events": [{"op": "missing", "step": "tool search"}],
            "candidate": {"status": "failed"},
            "baseline": {"status": "finished"},
            "refused": [{"tool": "store", "arguments": {}, "why": "writes"}],
        },
        {"id": "c2", "source": "dataset", "equal": True},
    ],
    "problems": [],
    "source": {"recorded": 3, "dataset": 1},
    "sideEffects": {"refused": 1, "fromJournal": 2, "calledRead": 3, "calledWrite": 0},
}


def result_of(artifacts: dict[str, Any]) -> GateResult:
    fields = {"gate": "some", "outcome": "passed", "reason": "", "release": "sha256:0", "inputs": {}}
    return GateResult.model_validate({**fields, "artifacts": artifacts, "started_at": "", "finished_at": ""})


@pytest.fixture
def worse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GateResult:
    """What gate `eval` really finds of a version that answers some questions wrongly where production does not."""
    root = tmp_path / "project"
    eval_project(root, cases=questions(CASES))
    answers = Answers({("1.1.0", f"q{number}"): "<nonsense>" for number in range(WRONG)})
    monkeypatch.setattr(measuring, "open_rig", functools.partial(open_rig, provider=FakeProvider(answers)))
    settings = load_settings(root)
    registry = load_registry(TreeSource(root), default_runtime=settings.default_runtime)
    return run_gate(draft_context(settings, registry, "clerk", "1.1.0"), GateUse.model_validate({"gate": "eval"}))


def rows(metadata: dict[str, Any], name: str) -> list[dict[str, Any]]:
    table = metadata[name]
    assert isinstance(table, dg.TableMetadataValue), name
    return [dict(record.data) for record in table.records]


def test_an_evaluation_is_tables_figures_and_a_picture(worse: GateResult) -> None:
    shown = gate_metadata(worse)
    (scorer,) = rows(shown, "scorers")
    assert (scorer["scorer"], scorer["outcome"], scorer["mean"], scorer["prod"]) == ("right", "failed", 0.6, 1.0)
    assert scorer["against prod"].startswith("\N{MINUS SIGN}0.400 [")
    assert scorer["limit"] == "≥ 0.5, margin 0.2"
    flips = rows(shown, "flips")
    assert len(flips) == WRONG
    assert {flip["direction"] for flip in flips} == {"worse"}
    assert flips[0]["candidate"] == '{"answer":"<nonsense>"}'
    checked = rows(shown, "datasets")
    assert {row["dataset"] for row in checked} == {"questions"}
    assert {row["outcome"] for row in checked} == {"passed", "not judged"}
    figures = gate_figures(worse)
    assert (figures["mean right"], figures["mean right in prod"], figures["cases"]) == (0.6, 1.0, CASES)
    assert (figures["flips in all"], figures["flips to worse"], figures["trials"]) == (WRONG, WRONG, 2 * CASES)
    assert figures["p95 ms"] > 0
    assert figures["cost USD"] == pytest.approx(CASES * 0.00002)
    assert {name: shown[name] for name in figures} == figures


def test_the_picture_is_svg_that_says_in_words_what_it_draws(worse: GateResult) -> None:
    markdown = gate_metadata(worse)["intervals"]
    assert isinstance(markdown, dg.MarkdownMetadataValue)
    found = re.fullmatch(r"!\[[\w ]+\]\(data:image/svg\+xml;base64,([\w+/=]+)\)", str(markdown.md_str))
    assert found is not None
    svg = ElementTree.fromstring(base64.b64decode(found[1]))
    texts = [one.text for one in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "right"
    assert str(texts[1]).startswith("Difference \N{MINUS SIGN}0.400, interval")
    (dot,) = svg.iter("{http://www.w3.org/2000/svg}circle")
    middle = next(svg.iter("{http://www.w3.org/2000/svg}line"))
    assert float(dot.attrib["cx"]) < float(middle.attrib["x1"])


def test_a_title_cannot_leave_its_place_in_the_picture(worse: GateResult) -> None:
    scorer = {**worse.artifacts["scorers"][0], "title": "</text><script>alert(1)</script>"}
    markdown = gate_metadata(result_of({**worse.artifacts, "scorers": [scorer]}))["intervals"].md_str
    svg = base64.b64decode(markdown.partition("base64,")[2].rstrip(")"))
    assert b"<script>" not in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_a_difference_is_tables_beside_the_noise_floor_and_figures() -> None:
    shown = gate_metadata(result_of(DIFFERENCE))
    outputs, events = rows(shown, "changed")
    assert (outputs["changed"], outputs["share"], outputs["noise floor"]) == (1, 0.25, "0 % [0 %, 49 %] of 4 pairs")
    assert events["noise floor"] == "not measured"
    (pair,) = rows(shown, "pairs that changed")
    assert (pair["case"], pair["changed"], pair["steps"]) == ("c1", "$.answer", "missing tool search")
    assert (pair["prod"], pair["candidate"], pair["refused"]) == ("finished", "failed", "store")
    assert rows(shown, "where outputs changed") == [{"path": "$.answer", "changed": 1}]
    assert rows(shown, "tool calls of the candidate")[0]["write calls"] == 0
    figures = gate_figures(result_of(DIFFERENCE))
    assert (figures["cost ratio"], figures["success"], figures["success in prod"]) == (2.0, 0.75, 1.0)
    assert (figures["p95 ms"], figures["recorded runs"]) == (4.0, 3)
    assert "p95 ms in prod" not in figures


@pytest.mark.parametrize(
    "artifacts",
    [{}, {"log": "any"}, {"scorers": "no list"}, {"pairs": {}}, {"scorers": [], "cases": []}, {"datasets": []}],
)
def test_what_has_no_known_shape_or_holds_nothing_breaks_nothing(artifacts: dict[str, Any]) -> None:
    shown = gate_metadata(result_of(artifacts))
    assert "intervals" not in shown
    assert all(math.isfinite(value) for value in gate_figures(result_of(artifacts)).values())
    checked = dg.AssetCheckResult(passed=True, metadata=shown)
    assert checked.metadata.keys() == shown.keys()


def test_a_table_is_bounded_and_holds_only_what_json_can() -> None:
    wide = [{"text": "x" * 10_000, "number": math.nan, "nothing": None, "list": [1, 2]}] * (MOST_ROWS + 50)
    table = metadata_table(wide)
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == MOST_ROWS
    row = table.records[0].data
    assert len(str(row["text"])) < LONGEST_CELL + 50
    assert (row["number"], row["nothing"], row["list"]) == ("nan", None, "[1,2]")
    assert metadata_table([]).value == "none"
