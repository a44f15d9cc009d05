import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.cli.main import main
from penstock.contracts.canonical import digest_bytes
from penstock.scaffold.project import lay_down_project
from penstock.settings import load_settings
from penstock.store.database import open_database
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.runs import RunStore
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, says
from penstock.testing.fake_tools import FakeTools

ROWS = """\
id,requirement,product
a,"The shop sends an order mail, at once.",Shop
b,The shop keeps an order for a year.,Shop
"""
CHOICE = ("--input", "requirement", "--input", "product")
INPUT = {"requirement": "The shop calls 0171 1234567 back within an hour.", "product": "Shop"}
Say = Callable[..., Any]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada Author\n\temail = ada@example.org\n", "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return lay_down_project(tmp_path / "proj").root


@pytest.fixture
def say(root: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """One command: its JSON, or with another status than 0 what it said on stderr."""

    def run(*words: str, status: int = 0) -> Any:
        found = main(["--project", str(root), "dataset", *words, "--json"])
        shown = capsys.readouterr()
        assert found == status, shown
        return json.loads(shown.out)

    return run


@pytest.fixture
def rows(root: Path) -> Path:
    file = root.parent / "rows.csv"
    file.write_text(ROWS, "utf-8")
    return file


def cases(root: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / f"datasets/{name}/cases.jsonl").read_text("utf-8").splitlines()]


def production_run(root: Path, feedback: Mapping[str, Any] | None = None, **fields: Any) -> str:
    """The id of a run that was really made, and is in the project's database."""
    rig = Rig(DirectRuntime, "penstock", FakeProvider(says("Call jane@example.org")), FakeTools())
    call = rig.call({"input": {"schema": {}}}, **{"input": INPUT, **fields})
    result = asyncio.run(rig.run(call))
    database = open_database(load_settings(root).database)
    RunStore(database).ingest(rig.sink.records)
    if feedback is not None:
        FeedbackStore(database).put(Feedback(result.run_id, "clerk", "sha256:a", "dev", -1, None, feedback))
    database.close()
    return result.run_id


def test_rows_become_a_dataset_that_validates_and_can_be_seen(root: Path, say: Say, rows: Path) -> None:
    made = say("import", "orders", str(rows), *CHOICE, "--provenance", "our own: written by hand", "--split", "dev")
    assert made == {"dataset": "orders", "added": 2, "created": True, "unused": []}
    assert cases(root, "orders")[1]["input"] == {
        "requirement": "The shop keeps an order for a year.",
        "product": "Shop",
    }
    [row] = [row for row in say("list")["datasets"] if row["name"] == "orders"]
    assert row == say("show", "orders")
    assert (row["cases"], row["split"], row["provenance"]) == (2, "dev", "our own: written by hand")
    head = (root / "datasets/orders/dataset.yaml").read_bytes()
    assert digest_bytes(head) != row["digest"]
    assert row["digest"].startswith("sha256:")
    (root / "datasets/orders/dataset.yaml").write_bytes(head + b"# note\n")
    assert say("show", "orders")["digest"] != row["digest"]


def test_bad_rows_are_all_told_and_nothing_is_written(root: Path, say: Say) -> None:
    bad = root.parent / "bad.csv"
    bad.write_text("id,input\na,x\na,y\n,z\n", "utf-8")
    error = say("import", "bad", str(bad), "--provenance", "x", status=1)["error"]
    assert [(fault["line"], fault["column"]) for fault in error["faults"]] == [(3, 1), (4, 1)]
    assert not (root / "datasets/bad").exists()


def test_appending_fits_the_schema_that_is_there(root: Path, say: Say, rows: Path) -> None:
    say("import", "orders", str(rows), *CHOICE, "--provenance", "ours")
    assert "already" in say("import", "orders", str(rows), *CHOICE, "--provenance", "ours", status=1)["error"]["what"]
    more = root.parent / "more.jsonl"
    more.write_text('{"id": "c", "input": {"requirement": 5}}\n{"id": "a", "input": {}}\n', "utf-8")
    whats = [fault["what"] for fault in say("import", "orders", str(more), "--append", status=1)["error"]["faults"]]
    assert any("5 is not of type" in what for what in whats)
    assert '"product" is a required property' in whats
    more.write_text('{"id": "c", "input": {"requirement": "One more.", "product": "Shop"}, "tags": ["new"]}\n', "utf-8")
    assert say("import", "orders", str(more), "--append") == {
        "dataset": "orders",
        "added": 1,
        "created": False,
        "unused": [],
    }
    assert say("show", "orders")["tags"] == {"new": 1}
    assert say("import", "nobody", str(more), "--append", status=1)["error"]["type"] == "not-found"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("Orders", "--provenance", "x"), "is no name"),
        (("orders",), "where do the cases come from"),
        (("orders", "--provenance", "x", "--owner", "nobody"), "no team 'nobody'"),
        (("orders", "--provenance", "x", "--id", "key"), "no column 'key'"),
    ],
)
def test_what_an_import_needs(say: Say, rows: Path, words: tuple[str, ...], what: str) -> None:
    name, *options = words
    arguments = ["import", name, str(rows), *CHOICE, *options]
    error = say(*arguments, status=1 if "nobody" in words else 2)["error"]
    assert what in error["what"]


def test_a_dataset_that_fails_its_checks_ends_with_one(
    root: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    good = say("check", "requirements")
    assert [one["passed"] for one in good["datasets"]] == [True]
    place = root / "datasets/requirements/cases.jsonl"
    case = {"id": "mine", "input": {"requirement": "Write to jane@example.org at once.", "product": "Shop"}}
    place.write_bytes(place.read_bytes() + json.dumps(case).encode() + b"\n")
    bad = say("check", status=1)
    [found] = [one for one in bad["datasets"] if one["name"] == "requirements"]
    assert "[EMAIL] at input.requirement" in found["why"]
    assert "jane" not in json.dumps(bad)
    assert main(["--project", str(root), "dataset", "check", "requirements"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("requirements: FAILED (425 cases, sha256:")
    assert "  FAILED      no personal data: 1 of 425 cases: line 425 (mine): [EMAIL] at input.requirement" in text
    place.write_bytes(b"{\n")
    (root / "datasets/torn").mkdir()
    (root / "datasets/torn/cases.jsonl").write_bytes(b"[]\n")
    faults = say("check", status=1)["error"]["faults"]
    assert {fault["path"] for fault in faults} == {"datasets/requirements/cases.jsonl", "datasets/torn/dataset.yaml"}
    assert say("check", "nothing", status=1)["error"]["type"] == "not-found"


def test_a_draft_is_compared_with_what_the_base_branch_has(root: Path, say: Say) -> None:
    place = root / "datasets/requirements/cases.jsonl"
    place.write_bytes(b"".join(place.read_bytes().splitlines(keepends=True)[:100]))
    [found] = say("check", "requirements")["datasets"]
    rows = [row for row in found["checks"] if row["expectation"] == "distribution_ks"]
    assert [row["column"] for row in rows] == ["input.requirement"]
    assert "100 values against 424" in rows[0]["observed"]
    assert found["previous"].startswith("sha256:")


def test_a_run_of_production_becomes_a_redacted_case(root: Path, say: Say) -> None:
    run_id = production_run(root)
    done = say("add-from-run", run_id, "--dataset", "requirements", "--expected", "output")
    added = cases(root, "requirements")[-1]
    assert added == done["case"]
    assert added["input"]["requirement"] == "The shop calls [PHONE] back within an hour."
    assert (added["expected"], added["tags"]) == ("Call [EMAIL]", ["from-run"])
    assert done["redacted"] == {"PHONE": 1, "EMAIL": 1}
    again = say("add-from-run", run_id, "--dataset", "requirements", "--id", "other", status=1)["error"]
    assert "the run is in the dataset already" in again["what"]
    assert say("show", "requirements")["fromRuns"] == 1
    assert say("check", "requirements")["datasets"][0]["passed"]


def test_the_expectation_comes_from_a_file_or_from_what_a_user_said(root: Path, say: Say, tmp_path: Path) -> None:
    corrected = production_run(root, {"corrected": {"calls": ["0171 7654321"]}})
    done = say("add-from-run", corrected, "--dataset", "requirements", "--from-feedback", "--id", "corrected")
    assert done["case"]["expected"] == {"calls": ["[PHONE]"]}
    plain = production_run(root)
    (tmp_path / "answer.txt").write_text("as it should be\n", "utf-8")
    done = say("add-from-run", plain, "--dataset", "requirements", "--expected", str(tmp_path / "answer.txt"))
    assert done["case"]["expected"] == "as it should be"
    other = production_run(root)
    none = say("add-from-run", other, "--dataset", "requirements", "--from-feedback", status=1)["error"]
    assert "nobody corrected" in none["what"]
    both = ("--from-feedback", "--expected", "output")
    assert say("add-from-run", other, "--dataset", "requirements", *both, status=2)["error"]["type"] == "wrong-use"
    gone = ("--expected", str(tmp_path / "gone"))
    assert say("add-from-run", other, "--dataset", "requirements", *gone, status=2)["error"]["type"] == "wrong-use"


def test_an_input_that_does_not_fit_and_a_run_that_is_not_there(root: Path, say: Say) -> None:
    odd = production_run(root, input={"requirement": "0171 1234567 ......", "product": "Shop"})
    error = say("add-from-run", odd, "--dataset", "requirements", status=1)["error"]
    assert [fault["pointer"] for fault in error["faults"]] == ["input.requirement"]
    assert "1234567" not in json.dumps(error)
    assert say("add-from-run", "nobody", "--dataset", "requirements", status=1)["error"]["type"] == "not-found"
    assert say("add-from-run", odd, "--dataset", "nothing", status=1)["error"]["type"] == "not-found"
    assert len(cases(root, "requirements")) == 424


def test_two_that_add_at_the_same_time_lose_nothing_and_add_no_run_twice(root: Path) -> None:
    one, other = production_run(root), production_run(root)
    words = [sys.executable, "-m", "penstock.cli.main", "dataset", "add-from-run"]
    started = [
        subprocess.Popen([*words, run_id, "--dataset", "requirements"], cwd=root, stderr=subprocess.PIPE, text=True)
        for run_id in (one, other, one)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, 0, 1], said
    assert len(cases(root, "requirements")) == 426
    assert len({case["id"] for case in cases(root, "requirements")}) == 426
