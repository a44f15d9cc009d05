import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Invalid, NotFound, Unavailable
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource, TreeSource
from penstock.scoring.case_set import dataset_digest
from penstock.scoring.datasets import checks
from penstock.scoring.datasets.checks import DatasetChecks, PreviousDataset, check_dataset
from penstock.scoring.datasets.expectations import Expected, judge
from penstock.settings import Settings
from penstock.testing.project import Project, project

ROOT = Path(__file__).parents[3]
HEAD = {
    "apiVersion": "penstock.dev/v1",
    "kind": "Dataset",
    "metadata": {"name": "tickets", "version": "1.0.0", "owner": "qa"},
    "spec": {
        "provenance": "written for this test",
        "schema": {
            "type": "object",
            "required": ["text"],
            "properties": {
                "text": {"type": "string", "minLength": 2, "maxLength": 60},
                "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
                "channel": {"enum": ["mail", "chat"]},
                "items": {"type": "array", "maxItems": 3},
            },
        },
    },
}
Case = dict[str, Any]
Check = Callable[..., DatasetChecks]


def tickets(count: int = 12, **more: Any) -> list[Case]:
    return [
        {"id": f"t{at}", "input": {"text": f"ticket {at}" + "!" * at, "urgency": 1 + at % 5}, **more}
        for at in range(count)
    ]


def registry_of(root: Path, cases: Sequence[Any], **fields: Any) -> Registry:
    folder = root / "datasets" / "tickets"
    folder.mkdir(parents=True, exist_ok=True)
    spec = {**HEAD["spec"], **fields}  # type: ignore[dict-item]
    (folder / "dataset.yaml").write_text(json.dumps({**HEAD, "spec": spec}), "utf-8")
    lines = [case if isinstance(case, str) else json.dumps(case) for case in cases]
    (folder / "cases.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return load_registry(TreeSource(root))


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Checks these cases under a spec of these fields."""

    def made(cases: Sequence[Any], previous: PreviousDataset | None = None, **fields: Any) -> DatasetChecks:
        registry = registry_of(tmp_path, cases, **fields)
        return check_dataset(Settings(root=tmp_path), registry, "tickets", previous)

    return made


def failed(found: DatasetChecks) -> list[tuple[str, str]]:
    return [(row.column, row.limit) for row in found.failed]


def test_a_sound_dataset_passes_and_says_what_was_asked(check: Check) -> None:
    found = check(tickets())
    assert (found.passed, found.why, found.cases) == (True, "", 12)
    rows = {(row.expectation, row.column): row for row in found.checks}
    assert rows["expect_table_row_count_to_be_between", ""].observed == "12"
    assert rows["expect_column_values_to_be_between", "input.text"].limit == "length 2..60"
    assert rows["expect_column_values_to_be_between", "input.urgency"].limit == "1..5"
    assert rows["expect_column_values_to_not_be_null", "input.text"].outcome == "passed"
    assert ("expect_column_values_to_not_be_null", "input.urgency") not in rows
    document = found.as_document()
    assert DatasetChecks.from_document(document) == found
    assert {key: document[key] for key in ("name", "cases", "passed", "why")} == {
        "name": "tickets",
        "cases": 12,
        "passed": True,
        "why": "",
    }


def test_the_datasets_of_this_project_pass(tmp_path: Path) -> None:
    registry = load_registry(TreeSource(ROOT))
    assert len(registry.datasets) >= 2
    for name in registry.datasets:
        found = check_dataset(Settings(root=tmp_path), registry, name)
        assert found.passed, found.why


BAD: list[tuple[list[Any], dict[str, Any], tuple[str, str], str]] = [
    ([], {}, ("", "at least 1"), "0"),
    (tickets(3), {"checks": {"minCases": 4}}, ("", "at least 4"), "3"),
    (
        [*tickets(3), {**tickets(1)[0], "input": {"text": "other"}}],
        {},
        ("id", "each id once"),
        "line 1 (t0); line 4 (t0)",
    ),
    ([*tickets(3), {**tickets(1)[0], "id": "z"}], {}, ("input", "no case twice"), "line 1 (t0); line 4 (z)"),
    (
        [*tickets(2), {"id": "x", "input": {"text": 5}}],
        {},
        ("input.text", "type string"),
        "1 of 3 cases: line 3 (x)",
    ),
    ([*tickets(2), {"id": "x", "input": {"urgency": 1}}], {}, ("input.text", "every case has it"), "line 3 (x)"),
    ([*tickets(2), {"id": "x", "input": {"text": "a"}}], {}, ("input.text", "length 2..60"), "line 3 (x)"),
    ([{"id": "x", "input": {"text": "ab", "urgency": 6}}], {}, ("input.urgency", "1..5"), "line 1 (x)"),
    (
        [{"id": "x", "input": {"text": "ab", "urgency": 6}}],
        {},
        ("input", "fits the dataset's schema"),
        "input.urgency: ",
    ),
    (
        [{"id": "x", "input": {"text": "ab", "channel": "fax"}}],
        {},
        ("input.channel", 'one of "mail", "chat"'),
        "line 1 (x)",
    ),
    ([{"id": "x", "input": {"text": "ab", "items": [1, 2, 3, 4]}}], {}, ("input.items", "length ..3"), "line 1 (x)"),
    (
        [*tickets(1, expected=1), {"id": "x", "input": {"text": "ab"}}],
        {"checks": {"columns": {"expected": {"required": True}}}},
        ("expected", "every case has it"),
        "line 2 (x)",
    ),
    (
        tickets(3),
        {"checks": {"columns": {"input.subject": {"type": "string"}}}},
        ("input.subject", "some case has it"),
        "3 of 3 cases",
    ),
    (
        [{"id": "x", "input": {"text": "write to jane@example.org"}}],
        {},
        ("", "no personal data"),
        "line 1 (x): [EMAIL] at input.text",
    ),
    (
        [{"id": "x", "input": {"text": "ab"}, "expected": {"key": "ghp_" + "a1B2" * 9}}],
        {},
        ("", "no secrets"),
        "line 1 (x): [KEY] at expected.key",
    ),
]


@pytest.mark.parametrize(("cases", "fields", "row", "observed"), BAD, ids=[f"{row[0]} {row[1]}" for *_, row, _ in BAD])
def test_each_fault_fails_its_own_row(
    check: Check, cases: list[Any], fields: dict[str, Any], row: tuple[str, str], observed: str
) -> None:
    found = check(cases, **fields)
    assert not found.passed
    assert row in failed(found)
    seen = next(one.observed for one in found.failed if (one.column, one.limit) == row)
    assert observed in seen
    assert "jane" not in json.dumps(found.as_document())
    assert found.failed[0].observed in found.why


def test_personal_data_may_stand_where_a_reason_says_so(check: Check) -> None:
    cases = [{"id": "x", "input": {"text": "desk@example.org"}, "expected": "desk@example.org"}]
    allow = [{"kind": "EMAIL", "column": "input", "reason": "the desk's address is public"}]
    found = check(cases, checks={"allow": allow})
    [row] = found.failed
    assert row.observed == "1 of 1 cases: line 1 (x): [EMAIL] at expected"
    assert row.limit == "no personal data; EMAIL allowed in input: the desk's address is public"
    assert check(cases, checks={"allow": [*allow, {**allow[0], "column": "expected"}]}).passed


def test_what_checks_declare_of_a_column_wins_over_the_schema(check: Check) -> None:
    found = check(tickets(), checks={"columns": {"input.text": {"maxLength": 10}}})
    assert failed(found) == [("input.text", "length 2..10")]


def test_lines_that_are_no_cases_are_faults_by_line(check: Check) -> None:
    with pytest.raises(Invalid) as error:
        check(["{", json.dumps({"id": "a", "input": 1, "expectd": 2}), json.dumps({"id": 4, "input": 1})])
    assert [(fault.line, fault.what) for fault in error.value.faults] == [
        (1, "is no JSON: unexpected end of data"),
        (2, "unknown field 'expectd'"),
        (3, "should be text, not 4"),
    ]
    assert error.value.faults[1].hint == "did you mean 'expected'?"


def test_a_dataset_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    registry = registry_of(tmp_path, tickets(2))
    with pytest.raises(NotFound) as error:
        check_dataset(Settings(root=tmp_path), registry, "ticket")
    assert error.value.now == "did you mean 'tickets'?"
    with pytest.raises(Invalid, match=r"spec\.splt"):
        check_dataset(Settings(root=tmp_path), registry_of(tmp_path, tickets(2), splt="dev"), "tickets")
    with pytest.raises(Invalid, match="no JSON Schema"):
        check_dataset(Settings(root=tmp_path), registry_of(tmp_path, tickets(2), schema={"type": 5}), "tickets")


def versions(tmp_path: Path, *contents: Sequence[Case], **fields: Any) -> tuple[Project, Registry]:
    made = project({"README.md": "x"}, tmp_path / "project")
    for cases in contents:
        registry = registry_of(made.root, cases, **fields)
        made.commit()
    return made, registry


def previous(made: Project, registry: Registry) -> PreviousDataset | None:
    now = registry.file_digest("datasets/tickets/cases.jsonl")
    return PreviousDataset.before(made.repository, made.repository.head(), "tickets", now)


SHORT = [{"id": f"s{at}", "input": {"text": f"short {at}", "urgency": 1}} for at in range(30)]
LONG = [{"id": f"s{at}", "input": {"text": f"a much longer ticket {at}" + "." * at, "urgency": 5}} for at in range(30)]


def test_a_distribution_that_moved_fails_by_the_declared_limit_alone(tmp_path: Path) -> None:
    made, registry = versions(tmp_path, SHORT, LONG, checks={"drift": {"maxKs": 0.3}})
    before = previous(made, registry)
    assert before is not None
    found = check_dataset(Settings(root=made.root), registry, "tickets", before)
    assert (found.previous, before.cases is not None) == (before.digest, True)
    assert [(row.column, row.observed[:5]) for row in found.failed] == [
        ("input.text", "1.000"),
        ("input.urgency", "1.000"),
    ]
    assert "input.text: at most 0.3: 1.000 (p = " in found.why

    registry = registry_of(made.root, LONG)
    shown = check_dataset(Settings(root=made.root), registry, "tickets", previous(made, registry))
    assert shown.passed
    distances = [row for row in shown.checks if row.expectation.startswith("distribution")]
    assert {(row.outcome, row.limit) for row in distances} == {("not judged", "none declared")}


def test_the_version_before_is_the_newest_with_other_cases(tmp_path: Path) -> None:
    made, registry = versions(tmp_path, SHORT, LONG)
    first = made.git("rev-parse", "HEAD~1")
    found = previous(made, registry)
    assert found is not None
    assert (found.commit, [one.document for one in found.cases or ()]) == (first, SHORT)
    assert found.digest == dataset_digest(load_registry(GitSource(made.repository, first)), "tickets")
    registry = registry_of(made.root, tickets())  # a draft: what was committed last came before it
    draft = previous(made, registry)
    assert draft is not None
    assert draft.commit == made.git("rev-parse", "HEAD")


def test_without_another_version_nothing_is_compared(tmp_path: Path) -> None:
    made, registry = versions(tmp_path, SHORT)
    assert previous(made, registry) is None
    found = check_dataset(Settings(root=made.root), registry, "tickets", None)
    assert [row.observed for row in found.checks if row.outcome == "not judged"] == ["there is no version before"]


def test_a_version_before_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    made = project({"datasets/tickets/cases.jsonl": "{\n"}, tmp_path / "project")
    registry = registry_of(made.root, SHORT)
    found = check_dataset(Settings(root=made.root), registry, "tickets", previous(made, registry))
    [row] = [row for row in found.checks if row.outcome == "not judged"]
    assert row.observed == f"the version of {made.git('rev-parse', 'HEAD')[:12]} has faults"


def test_an_equal_dataset_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, registry = Settings(root=tmp_path), registry_of(tmp_path, tickets())
    first = check_dataset(settings, registry, "tickets")
    asked: list[int] = []

    def counted(*arguments: Any) -> Any:
        asked.append(1)
        return judge(*arguments)

    monkeypatch.setattr(checks, "judge", counted)
    assert check_dataset(settings, registry, "tickets") == first
    assert asked == []
    [kept] = (settings.cache / "dataset-checks").iterdir()
    kept.write_bytes(b"{")  # torn: made anew
    assert check_dataset(settings, registry, "tickets") == first
    assert check_dataset(settings, registry_of(tmp_path, tickets(11)), "tickets") != first
    monkeypatch.setattr(checks, "REVISION", checks.REVISION + 1)
    check_dataset(settings, registry_of(tmp_path, tickets()), "tickets")
    assert len(asked) == 3


def test_without_the_library_there_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Unavailable) as error:
        check_dataset(Settings(root=tmp_path), registry_of(tmp_path, tickets()), "tickets")
    assert error.value.now == "pip install 'penstock[datasets]'"


def test_an_expectation_that_cannot_be_judged_is_no_failure() -> None:
    wrong = Expected("expect_column_values_to_be_between", "x", "x", "0..1", {"min_value": 0, "max_value": 1})
    with pytest.raises(Unavailable, match="could not be judged"):
        judge({"x": ["a", "b"]}, [wrong], ["1", "2"])


def test_a_library_that_breaks_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr("penstock.scoring.datasets.expectations._validate", broken)
    with pytest.raises(Unavailable, match="could not judge the dataset: KeyError"):
        check_dataset(Settings(root=tmp_path), registry_of(tmp_path, tickets(2)), "tickets")
    assert not (tmp_path / ".penstock").exists()


SILENT = """
import socket, sys, threading
from pathlib import Path

def refuse(*_):
    raise AssertionError("a connection was asked for")

socket.socket.connect = socket.getaddrinfo = refuse
from penstock.registry.load import load_registry
from penstock.registry.source import TreeSource
from penstock.scoring.datasets.checks import check_dataset
from penstock.settings import Settings

root = Path(sys.argv[1])
assert check_dataset(Settings(root=root), load_registry(TreeSource(root)), "tickets").passed
print(*(thread.name for thread in threading.enumerate()))
"""


def test_the_library_connects_to_nothing_says_nothing_and_leaves_no_thread(tmp_path: Path) -> None:
    registry_of(tmp_path, tickets())
    words = [sys.executable, "-W", "error", "-c", SILENT, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "MainThread\n", "")
    assert sorted(one.name for one in tmp_path.iterdir()) == [".penstock", "datasets"]


def test_loading_the_checks_loads_nothing_heavy() -> None:
    script = "import sys, penstock.scoring.datasets.checks; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"pandas", "numpy", "scipy", "great_expectations"} & set(loaded) == set()
