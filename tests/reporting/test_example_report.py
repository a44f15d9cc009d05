import json
from pathlib import Path

from penstock.reporting.dataset import distinct
from penstock.reporting.files import report_files
from penstock.reporting.gate_facts import gate_facts
from penstock.reporting.report import REPORT_SCHEMA, Report

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"


def test_the_example_is_what_reports_look_like_today() -> None:
    document = json.loads((EXAMPLE / "report.json").read_bytes())
    assert document["schema"] == REPORT_SCHEMA
    made = report_files(Report(document))
    assert {file.name for file in EXAMPLE.iterdir()} == made.keys()
    for name, data in made.items():
        assert (EXAMPLE / name).read_bytes() == data, f"{name} is of another day: write the example again"


def test_the_example_shows_evidence_that_counts() -> None:
    document = json.loads((EXAMPLE / "report.json").read_bytes())
    assert (document["draft"], document["verdict"]) == (False, "passed")
    assert document["evidence"].startswith("sha256:")
    assert [gate["gate"] for gate in document["gates"]] == [
        "schema",
        "unit",
        "contract",
        "model",
        "shadow",
        "diff",
        "eval",
    ]


def test_what_gates_really_find_is_of_the_shapes_that_the_report_knows() -> None:
    facts = {gate.name: gate for gate in gate_facts(json.loads((EXAMPLE / "report.json").read_bytes()))}
    evaluation = facts["eval"].evaluation
    assert evaluation is not None
    assert (len(evaluation.cases), evaluation.run.trials) == (60, 120)
    assert any(row.judge and row.calibration and row.calibration.value for row in evaluation.scorers)
    assert all(flip.candidate.calls and flip.difference for flip in evaluation.flips)
    for name in ("shadow", "diff"):
        difference = facts[name].difference
        assert difference is not None
        assert difference.pairs == len(difference.cases) > 0
        assert difference.events.noise_floor is not None
    assert facts["shadow"].difference is not None
    assert facts["shadow"].difference.side_effects is not None
    checked = [gate.datasets for gate in facts.values() if gate.datasets is not None]
    assert [row.name for row in distinct(checked)] == ["requirements"]
    others = [gate.other_artifacts for gate in facts.values() if gate.evaluation or gate.difference]
    assert {name for artifacts in others for name in artifacts} == {"noiseFloor", "runtimes"}
