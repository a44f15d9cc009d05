"""The release path as assets, in process on an ephemeral instance."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from penstock.orchestration.attempts import attempt_of
from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.release_path import ReleasePath
from penstock.orchestration.sensors import base_branch
from penstock.release.reconcile import reconcile
from penstock.release.workspace import open_workspace
from penstock.settings import load_settings
from penstock.testing.project import Project

KEY, JUDGE = "testcase-generator@1.0.0", "quality-judge@1.0.0"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("release", [KEY])
        yield made


def run(root: Path, job: str, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    made = build_definitions(root).resolve_job_def(job)
    return made.execute_in_process(partition_key=KEY, instance=instance, raise_on_error=False)


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def test_release_to_dev_measures_and_routes(driven: Project, instance: dg.DagsterInstance) -> None:
    result = run(driven.root, "release_to_dev", instance)
    assert result.success
    assert checks(result) == {"schema": True, "unit": True, "contract": True}
    (schema,) = (one for one in result.get_asset_check_evaluations() if one.check_name == "schema")
    assert list(schema.metadata)[:3] == ["why", "verdict", "report"]
    table = open_workspace(load_settings(driven.root)).releases.newest_table()
    assert table is not None
    assert [entry.version for entry in table.agents["testcase-generator"].dev] == ["1.0.0"]
    env = instance.get_latest_materialization_event(dg.AssetKey(["env", "dev", "testcase-generator"]))
    assert env is not None
    assert env.asset_materialization is not None
    assert env.asset_materialization.metadata["version"].value == "1.0.0"
    board = instance.get_latest_materialization_event(dg.AssetKey("release_board"))
    assert board is not None
    evidence = instance.get_latest_materialization_event(dg.AssetKey("dev_evidence"))
    assert evidence is not None
    assert evidence.asset_materialization is not None
    shown = evidence.asset_materialization.metadata
    assert shown["why"].value == "passed: schema, unit, contract passed"
    assert (driven.root / str(shown["report"].value)).is_file()


def test_a_route_without_approval_is_refused_and_not_retried(driven: Project, instance: dg.DagsterInstance) -> None:
    assert run(driven.root, "release_to_dev", instance).success
    result = run(driven.root, "promote_to_canary", instance)
    assert not result.success
    (failure,) = (
        result.get_step_failure_events()
        if hasattr(result, "get_step_failure_events")
        else result.filter_events(lambda event: event.is_step_failure)
    )
    assert "approval" in str(failure.step_failure_data.error)
    table = open_workspace(load_settings(driven.root)).releases.newest_table()
    assert table is not None
    assert table.agents["testcase-generator"].canary is None
    shown = {one.check_name: one.metadata for one in result.get_asset_check_evaluations()}
    assert shown.keys() == {"model", "shadow", "diff", "eval"}
    assert str(shown["eval"]["why"].value).startswith("passed: ")
    scorers = shown["eval"]["scorers"]
    assert isinstance(scorers, dg.TableMetadataValue)
    assert "finished" in {record.data["scorer"] for record in scorers.records}
    assert {"datasets", "report", "p95 ms"} <= shown["eval"].keys()
    (evidence,) = result.asset_materializations_for_node("canary_evidence")
    assert evidence.metadata["eval: mean finished"].value == 1.0


def test_a_failed_gate_is_a_failed_check_and_nothing_is_routed(driven: Project, instance: dg.DagsterInstance) -> None:
    broken = "def test_breaks() -> None:\n    assert 1 == 2\n"
    driven.commit({"registry_repo/tools/requirement-search/1.0.0/test_tool.py": broken}, "Break a test")
    driven.push()
    result = run(driven.root, "release_to_dev", instance)
    assert not result.success
    assert checks(result)["unit"] is False
    assert open_workspace(load_settings(driven.root)).releases.newest_table() is None


def test_under_driver_ci_nothing_is_measured_and_nothing_moves(shown: Project, instance: dg.DagsterInstance) -> None:
    result = run(shown.root, "release_to_dev", instance)
    assert not result.success
    assert checks(result) == {"schema": False, "unit": False, "contract": False}
    assert open_workspace(load_settings(shown.root)).releases.newest_table() is None


def test_under_driver_ci_it_shows_what_the_driver_stored(shown: Project, instance: dg.DagsterInstance) -> None:
    reconcile(open_workspace(load_settings(shown.root)))
    changed = "def test_breaks() -> None:\n    assert 1 == 2\n"
    shown.commit({"registry_repo/tools/requirement-search/1.0.0/test_tool.py": changed}, "Later, and forbidden")
    result = run(shown.root, "release_to_dev", instance)
    assert result.success
    assert checks(result) == {"schema": True, "unit": True, "contract": True}
    with dg.DagsterInstance.ephemeral() as other:
        found = base_branch(dg.build_sensor_context(instance=other), path=ReleasePath(root=str(shown.root)))
    assert isinstance(found, dg.SensorResult)
    assert [one.job_name for one in found.run_requests or ()] == ["release_to_dev"]


def test_the_sensor_adds_a_partition_and_launches_once(driven: Project) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        path = ReleasePath(root=str(driven.root))
        first = base_branch(context, path=path)
        assert isinstance(first, dg.SensorResult)
        requests = {one.partition_key: one for one in first.run_requests or ()}
        assert set(requests) == {KEY, JUDGE}
        assert {one.job_name for one in requests.values()} == {"release_to_dev"}
        (added,) = first.dynamic_partitions_requests or ()
        assert set(added.partition_keys) == {KEY, JUDGE}
        again = base_branch(context, path=path)
        assert isinstance(again, dg.SensorResult)
        assert {one.run_key for one in again.run_requests or ()} == {one.run_key for one in requests.values()}


def test_a_failed_run_is_launched_again_under_another_key_but_not_at_once() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert attempt_of(instance, "some") == 0

        @dg.op
        def fails() -> None:
            raise dg.Failure("no", allow_retries=False)

        @dg.job(tags={"penstock/inputs": "some"})
        def job() -> None:
            fails()

        job.execute_in_process(instance=instance, raise_on_error=False)
        assert attempt_of(instance, "some") == 0


def test_a_registry_that_cannot_be_read_is_said_and_launches_nothing(driven: Project) -> None:
    assert driven.remote is not None
    driven.remote.rename(driven.remote.with_name("gone.git"))
    with dg.DagsterInstance.ephemeral() as instance:
        found = base_branch(dg.build_sensor_context(instance=instance), path=ReleasePath(root=str(driven.root)))
    assert isinstance(found, dg.SkipReason)
    assert found.skip_message
