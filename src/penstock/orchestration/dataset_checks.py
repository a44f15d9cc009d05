"""Datasets in Dagster: one partition a dataset, checked anew whenever it changed on the base branch.

The checks show; each use of a dataset checks it again, or finds this very result by the dataset's content.
"""

import json
from typing import Any

import dagster as dg

from penstock.errors import PenstockError
from penstock.orchestration.metadata_table import metadata_table
from penstock.orchestration.partitions import DATASETS, partitioned_check
from penstock.orchestration.release_path import ReleasePath, failing
from penstock.registry.documents import Registry
from penstock.registry.layout import dataset_paths
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
from penstock.release.workspace import Workspace
from penstock.scoring.case_set import dataset_digest

ASSET = "dataset_checks"
JOB = "check_datasets"
EXPECTATIONS, DISTRIBUTION = "expectations", "distribution"
AFTER_RELEASES = {"dagster/priority": "-1"}
DRIFT = "distribution_"
"""How the names of rows begin that compare a column with the version before."""


def dataset_asset() -> dg.AssetsDefinition:
    """The checks of each dataset as an asset of its own partition."""
    specs = [
        partitioned_check(name, ASSET, DATASETS, text)
        for name, text in (
            (EXPECTATIONS, "Ids, fields, types, ranges, no secrets, no personal data."),
            (DISTRIBUTION, "How far columns moved from the version before; without a declared limit it only shows."),
        )
    ]

    @dg.asset(
        name=ASSET,
        partitions_def=DATASETS,
        group_name="datasets",
        kinds={"greatexpectations"},
        check_specs=specs,
        description="Whether a dataset may be used, row by row, before any suite uses it.",
    )
    def checks(context: dg.AssetExecutionContext, path: ReleasePath) -> dg.MaterializeResult:  # type: ignore[type-arg]
        with failing(), path.workspace() as workspace:
            found = checked_dataset(workspace, context.partition_key)
        rows = found["checks"]
        results = [_result(EXPECTATIONS, _rows(rows, drift=False)), _result(DISTRIBUTION, _rows(rows, drift=True))]
        return dg.MaterializeResult(metadata=dataset_metadata(found), check_results=results)

    return checks


dataset_job = dg.define_asset_job(JOB, selection=[ASSET], description="Checks one dataset of the base branch.")


@dg.sensor(name="datasets", job=dataset_job, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def datasets(context: dg.SensorEvaluationContext, path: ReleasePath) -> dg.SensorResult | dg.SkipReason:
    """Launches the check of one changed dataset a tick; the cursor holds what was launched, by name.

    A check that breaks is not launched again: whoever uses the dataset meets the same, and a person can launch it.
    """
    launched: dict[str, str] = json.loads(context.cursor or "{}")
    try:
        with path.workspace() as workspace:
            known = dataset_digests(workspace)
    except PenstockError as error:
        return dg.SkipReason(str(error))
    changed = next((name for name, found in known.items() if launched.get(name) != found), None)
    if changed is None:
        return dg.SkipReason("no dataset has changed" if known else "there is no dataset")
    digest = known[changed]
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"{changed}#{digest}", partition_key=changed, tags=AFTER_RELEASES)],
        dynamic_partitions_requests=[DATASETS.build_add_request([changed])],
        cursor=json.dumps({name: found for name, found in launched.items() if name in known} | {changed: digest}),
    )


def dataset_digests(workspace: Workspace) -> dict[str, str]:
    """Each dataset at the base branch's head with the digest of its files, by name; raises `Unavailable`."""
    registry = Registry(GitSource(workspace.repository, workspace.base_head()))
    paths = [path.split("/") for path in registry.source.entries() if path.startswith("datasets/")]
    return {name: dataset_digest(registry, name) for name in sorted({parts[1] for parts in paths if len(parts) == 3})}


def checked_dataset(workspace: Workspace, name: str) -> dict[str, Any]:
    """How the checks of a dataset at the base branch's head came out; raises as `check_dataset`."""
    from penstock.scoring.datasets.checks import PreviousDataset, check_dataset

    head = workspace.base_head()
    registry = load_registry(GitSource(workspace.repository, head), only=set(dataset_paths(name)))
    now = registry.file_digest(dataset_paths(name)[1])
    before = PreviousDataset.before(workspace.repository, head, name, now)
    return check_dataset(workspace.settings, registry, name, before).as_document()


def dataset_metadata(found: dict[str, Any]) -> dict[str, Any]:
    """The one sentence first, then numbers that plot, then every row."""
    failed = [row for row in found["checks"] if row["outcome"] == "failed"]
    return {
        "why": found["why"] or f"{len(found['checks'])} checks hold of {found['cases']} cases",
        "cases": int(found["cases"]),
        "checks": len(found["checks"]),
        "failed checks": len(failed),
        "digest": found["digest"],
        "compared with": found["previous"] or "nothing: there is no version before",
        "rows": metadata_table(failed_first(found["checks"])),
    }


def failed_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows, those first that keep the dataset from being used."""
    return sorted(rows, key=lambda row: row["outcome"] != "failed")


def _rows(rows: list[dict[str, Any]], *, drift: bool) -> list[dict[str, Any]]:
    return [row for row in rows if row["expectation"].startswith(DRIFT) is drift]


def _result(name: str, rows: list[dict[str, Any]]) -> dg.AssetCheckResult:
    failed = [row for row in rows if row["outcome"] == "failed"]
    judged = sum(row["outcome"] == "passed" for row in rows)
    first = ": ".join(failed[0][part] for part in ("column", "limit", "observed") if failed[0][part]) if failed else ""
    return dg.AssetCheckResult(
        check_name=name,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR,
        description=first or f"{judged} of {len(rows)} rows passed, none failed",
        metadata={"failed": len(failed), "passed": judged, "rows": metadata_table(failed_first(rows))},
    )
