"""The jobs of the release path. Each one ends: an approval is a record, never a run that waits."""

from typing import Any

import dagster as dg

from penstock.contracts.policy import Stage

JOBS: dict[Stage, str] = {
    "dev": "release_to_dev",
    "canary": "promote_to_canary",
    "prod": "promote_to_prod",
}


RELEASE_JOBS: list[Any] = [
    dg.define_asset_job(
        name,
        selection=["release", f"{stage}_evidence", f"{stage}_route"],
        description=f"Takes one release to {stage}, if its evidence and its approvals let it.",
    )
    for stage, name in JOBS.items()
]
"""One job a stage: resolve, measure, route."""
