"""Canaries under Dagster: the sensor launches what is due, the job does it, and who is held waits."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from penstock.contracts.routing_table import CanaryEntry
from penstock.orchestration.canaries import JOB, canaries
from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.release_path import ReleasePath
from penstock.release.driver import promote
from penstock.release.reconcile import reconcile
from penstock.release.stops import hold, unhold
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import load_settings
from penstock.testing.project import Project, project

MANAGER = ("Mia Manager", "manager@example.org")
HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\n"
META = HEAD + "metadata: {{name: {name}, version: {version}, owner: qa}}\n"


def agent(version: str) -> dict[str, str]:
    spec = (
        "{mode: workflow, promptRef: prompts/helper@1.0.0, modelRef: models/standard@1.0.0, "
        "policyRefs: [policies/default@1.0.0], input: {schema: {type: string}}, output: {schema: {type: string}}, "
        f"runtime: {{selector: direct}}, limits: {{maxSteps: 1{version[2]}}}}}"
    )
    head = META.format(kind="Agent", name="helper", version=version)
    return {f"registry_repo/agents/helper/{version}.yaml": f"{head}spec: {spec}\n"}


FILES: dict[str, str] = {
    **agent("1.0.0"),
    **agent("1.1.0"),
    "registry_repo/prompts/helper/1.0.0.md": (
        f"---\n{META.format(kind='Prompt', name='helper', version='1.0.0')}spec: {{role: system}}\n---\nYou help.\n"
    ),
    "registry_repo/models/standard/1.0.0.yaml": META.format(kind="Model", name="standard", version="1.0.0")
    + "spec: {model: scripted/qa-rules, contextTokens: 8000, price: {inputUsdPer1M: 0, outputUsdPer1M: 0}}\n",
    "registry_repo/policies/default/1.0.0.yaml": META.format(kind="Policy", name="default", version="1.0.0")
    + "spec: {rules: [{name: all, effect: allow}]}\n",
    "registry_repo/teams.yaml": (
        "teams: {qa: {members: [manager@example.org]}}\nreleaseManagers: [manager@example.org]\n"
    ),
    "runtimes/direct.yaml": HEAD.format(kind="Runtime")
    + "metadata: {name: direct}\nspec: {runtime: penstock, versions: '>=0.1,<1', adapter: direct, "
    "capabilities: {modes: [workflow], maxContextTokens: 100000}}\n",
    "pipelines/release.yaml": HEAD.format(kind="Pipeline")
    + "metadata: {name: default}\nspec: {stages: {dev: {automatic: true}, canary: {}, prod: {}}, "
    "canary: {steps: [{percent: 5}, {percent: 50, soak: 1h}]}}\n",
    "pyproject.toml": '[tool.penstock]\ndriver = "dagster"\ndefault_runtime = "direct"\n',
}


@pytest.fixture
def growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """helper 1.0.0 in prod and 1.1.0 at the first of two steps, which asks for nothing; Dagster drives from here on."""
    made = project(FILES, tmp_path / "project", remote=True)
    made.identify(MANAGER)
    monkeypatch.setenv("PENSTOCK_DRIVER", "ci")
    reconcile(workspace(made))
    for version, stages in (("1.0.0", ("canary", "prod")), ("1.1.0", ("canary",))):
        for stage in stages:
            promote(workspace(made), ("helper", version, stage))  # type: ignore[arg-type]
    monkeypatch.delenv("PENSTOCK_DRIVER")
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def workspace(made: Project) -> Workspace:
    return open_workspace(load_settings(made.root))


def canary(made: Project) -> CanaryEntry | None:
    table = workspace(made).releases.newest_table()
    assert table is not None
    return table.agents["helper"].canary


def look(made: Project, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    found = canaries(dg.build_sensor_context(instance=instance), path=ReleasePath(root=str(made.root)))
    assert isinstance(found, dg.SensorResult), found
    return list(found.run_requests or ())


def run(made: Project, request: dg.RunRequest, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_definitions(made.root).resolve_job_def(JOB)
    return job.execute_in_process(instance=instance, tags=request.tags, raise_on_error=False)


def test_the_sensor_launches_a_step_and_the_job_takes_it(growing: Project, instance: dg.DagsterInstance) -> None:
    (request,) = look(growing, instance)
    assert request.tags["penstock/agent"] == "helper"
    assert run(growing, request, instance).success
    entry = canary(growing)
    assert entry is not None
    assert (entry.step, entry.weight_bp) == (2, 5000)
    event = instance.get_latest_materialization_event(dg.AssetKey(["env", "canary", "helper"]))
    assert event is not None
    assert event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert (shown["tick"].value, shown["weight percent"].value) == ("advanced", 50.0)
    assert look(growing, instance) == [], "the next step soaks"


def test_what_is_held_launches_nothing_and_a_late_run_fails(growing: Project, instance: dg.DagsterInstance) -> None:
    (request,) = look(growing, instance)
    hold(workspace(growing), "helper", "look")
    assert look(growing, instance) == []
    assert not run(growing, request, instance).success, "what was due is no more: a later look launches it again"
    unhold(workspace(growing), "helper", "over")
    entry = canary(growing)
    assert entry is not None
    assert entry.step == 1


def test_another_driver_moves_canaries(
    growing: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_DRIVER", "ci")
    found = canaries(dg.build_sensor_context(instance=instance), path=ReleasePath(root=str(growing.root)))
    assert isinstance(found, dg.SkipReason)
    assert "agentctl canary tick" in str(found.skip_message)
