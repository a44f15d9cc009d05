"""Seconds from launching a promotion job to the published table, beside the gates' own work in the same run.

In process on a Dagster home with SQLite, as the daemon's run worker does it. The sensor's tick is apart.
"""

import os
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

import dagster as dg

from penstock.orchestration.definitions import build_definitions
from penstock.orchestration.home import prepare_home
from penstock.release.workspace import open_workspace
from penstock.scaffold.reference import reference_files
from penstock.settings import load_settings
from penstock.testing.project import project

AGENT = "testcase-generator"
ROUNDS = 3
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
FOLDERS = ("registry_repo", "contract_suites", "datasets", "evals", "runtimes", "pipelines")


def promotion(folder: Path) -> tuple[float, float]:
    """One fresh project to dev; returns the job's seconds and its gates' own seconds."""
    files: dict[str, str | bytes] = dict(reference_files(*FOLDERS))
    files = {path: data for path, data in files.items() if "1.1.0" not in path and "testplan" not in path}
    files["pyproject.toml"] = '[tool.penstock]\ndriver = "dagster"\ndefault_runtime = "direct"\n'
    made = project(files, folder / "project", remote=True)
    settings = load_settings(made.root)
    home = prepare_home(settings)
    job = build_definitions(made.root).resolve_job_def("release_to_dev")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.add_dynamic_partitions("release", [f"{AGENT}@1.0.0"])
        begun = time.perf_counter()
        result = job.execute_in_process(partition_key=f"{AGENT}@1.0.0", instance=instance, run_config=QUIET)
        seconds = time.perf_counter() - begun
    assert result.success
    workspace = open_workspace(settings)
    table = workspace.releases.newest_table()
    assert table is not None
    results = workspace.records.results(table.agents[AGENT].dev[0].release)
    return seconds, sum(_between(one.started_at, one.finished_at) for one in results)


def main() -> None:
    """Prints medians in seconds; to reach: at most 3 s beyond the gates' own work."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    pairs = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            pairs.append(promotion(Path(folder)))
    total, gates = (statistics.median(values) for values in zip(*pairs, strict=True))
    beyond = statistics.median(all_of - of_gates for all_of, of_gates in pairs)
    print(f"launch to published       {total:6.2f} s")
    print(f"of it the gates' own work {gates:6.2f} s")
    print(f"beyond the gates          {beyond:6.2f} s  (<= 3 s)")


def _between(begun: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


if __name__ == "__main__":
    main()
