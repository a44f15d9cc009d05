"""Partitions: one a release, `agent@version`, and one a dataset; added as they reach the base branch."""

import warnings

import dagster as dg

from penstock.contracts.reference import Reference
from penstock.errors import WrongUse

RELEASES = dg.DynamicPartitionsDefinition(name="release")
DATASETS = dg.DynamicPartitionsDefinition(name="dataset")


def partition_key(agent: str, version: str) -> str:
    """The key of one version."""
    return f"{agent}@{version}"


def parse_key(key: str) -> tuple[str, str]:
    """Agent and version of a key; Dagster takes any text as one, so it is checked. Raises `WrongUse`."""
    reference = Reference.parse(key, default_folder="agents")
    if reference.folder != "agents":
        raise WrongUse(f"{key!r} is no agent's version", now="a partition is called agent@version")
    return reference.name, reference.version


def partitioned_check(
    name: str, asset: str, partitions: dg.DynamicPartitionsDefinition, description: str, *, blocking: bool = False
) -> dg.AssetCheckSpec:
    """A check of each partition of an asset by itself."""
    with warnings.catch_warnings():  # partitioned checks are a preview of Dagster's; a test runs them
        warnings.simplefilter("ignore")
        return dg.AssetCheckSpec(
            name, asset=asset, partitions_def=partitions, description=description, blocking=blocking
        )
