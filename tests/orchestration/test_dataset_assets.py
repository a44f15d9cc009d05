"""Datasets as partitions of an asset: checked when they change, failed ones shown row by row."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import orjson
import pytest

from penstock.orchestration.dataset_checks import datasets
from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.release_path import ReleasePath
from penstock.testing.eval_project import eval_project, questions
from penstock.testing.project import Project

NAME = "questions"
CASES = f"datasets/{NAME}/cases.jsonl"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("dataset", [NAME])
        yield made


@pytest.fixture
def asked(tmp_path: Path) -> Project:
    """A project with one dataset, of which its clone is the registry."""
    pipeline = "apiVersion: penstock.dev/v1\nkind: Pipeline\nmetadata: {name: default}\nspec:\n"
    pipeline += "  stages: {dev: {gates: []}, canary: {gates: []}, prod: {gates: []}}\n"
    pipeline += "  canary: {steps: [{percent: 20.0}]}\n"
    return eval_project(tmp_path / "project", cases=questions(10), files={"pipelines/release.yaml": pipeline})


def lines(count: int, *more: dict[str, object]) -> str:
    return "".join(orjson.dumps(case).decode() + "\n" for case in (*questions(count), *more))


def run(project: Project, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_definitions(project.root).resolve_job_def("check_datasets")
    return job.execute_in_process(partition_key=NAME, instance=instance, raise_on_error=False)


def tick(project: Project, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    context = dg.build_sensor_context(instance=instance, cursor=cursor)
    found = datasets(context, path=ReleasePath(root=str(project.root)))
    assert isinstance(found, dg.SensorResult | dg.SkipReason)
    return found


def test_a_dataset_is_checked_row_by_row(asked: Project, instance: dg.DagsterInstance) -> None:
    done = run(asked, instance)
    assert done.success
    checks = {one.check_name: one for one in done.get_asset_check_evaluations()}
    assert {name: one.passed for name, one in checks.items()} == {"expectations": True, "distribution": True}
    assert {one.partition for one in checks.values()} == {NAME}
    (event,) = done.asset_materializations_for_node("dataset_checks")
    assert event.partition == NAME
    assert (event.metadata["cases"].value, event.metadata["failed checks"].value) == (10, 0)
    assert event.metadata["compared with"].value == "nothing: there is no version before"
    table = event.metadata["rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert "expect_column_values_to_be_unique" in {record.data["expectation"] for record in table.records}


def test_a_dataset_that_is_not_to_be_used_is_a_failed_check(asked: Project, instance: dg.DagsterInstance) -> None:
    leak: dict[str, object] = {
        "id": "leak",
        "input": {"question": "Write to ada.lovelace@gmail.com"},
        "expected": {"answer": "a"},
    }
    asked.commit({CASES: lines(10, leak)}, "Add a case")
    done = run(asked, instance)
    assert done.success
    checks = {one.check_name: one for one in done.get_asset_check_evaluations()}
    assert {name: one.passed for name, one in checks.items()} == {"expectations": False, "distribution": True}
    assert str(checks["expectations"].description).startswith("no personal data: 1 of 11 cases: line 11 (leak)")
    (event,) = done.asset_materializations_for_node("dataset_checks")
    table = event.metadata["rows"]
    assert isinstance(table, dg.TableMetadataValue)
    first = table.records[0].data
    assert (first["outcome"], first["limit"]) == ("failed", "no personal data")
    assert "lovelace" not in str(event.metadata)


def test_files_that_cannot_be_read_fail_the_step_and_name_the_line(
    asked: Project, instance: dg.DagsterInstance
) -> None:
    asked.commit({CASES: lines(2) + "{no json\n"}, "Break a line")
    done = run(asked, instance)
    assert not done.success
    (failure,) = done.filter_events(lambda event: event.is_step_failure)
    assert f"{CASES}:3" in str(failure.step_failure_data.error)


def test_the_sensor_launches_what_changed_once(asked: Project, instance: dg.DagsterInstance) -> None:
    first = tick(asked, instance, None)
    assert isinstance(first, dg.SensorResult)
    (request,) = first.run_requests or ()
    assert (request.partition_key, [list(one.partition_keys) for one in first.dynamic_partitions_requests or ()]) == (
        NAME,
        [[NAME]],
    )
    again = tick(asked, instance, first.cursor)
    assert isinstance(again, dg.SkipReason)
    assert again.skip_message == "no dataset has changed"
    asked.commit({CASES: lines(11)}, "Add a case")
    changed = tick(asked, instance, first.cursor)
    assert isinstance(changed, dg.SensorResult)
    (other,) = changed.run_requests or ()
    assert other.run_key != request.run_key
    assert isinstance(tick(asked, instance, changed.cursor), dg.SkipReason)


def test_a_project_without_datasets_is_left_alone(driven: Project, instance: dg.DagsterInstance) -> None:
    driven.git("rm", "-r", "--quiet", "datasets")
    driven.git("commit", "--quiet", "-m", "No data")
    driven.push()
    found = tick(driven, instance, None)
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message == "there is no dataset"
