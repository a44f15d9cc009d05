"""Pools: how many steps of a kind run at once, whatever runs they belong to."""

from pathlib import Path

EVALS = "evals"
"""Steps that run releases to evaluate them: shards, and evidence whose gates measure."""


def set_pools(home: Path, evals: int) -> None:
    """Writes the pools' limits into the instance of `home`: dagster.yaml knows only one limit for all pools."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.event_log_storage.set_concurrency_slots(EVALS, evals)
