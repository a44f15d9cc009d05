"""One partition a release: `agent@version`, added as versions reach the base branch."""

import dagster as dg

from penstock.contracts.reference import Reference
from penstock.errors import WrongUse

RELEASES = dg.DynamicPartitionsDefinition(name="release")


def partition_key(agent: str, version: str) -> str:
    """The key of one version."""
    return f"{agent}@{version}"


def parse_key(key: str) -> tuple[str, str]:
    """Agent and version of a key; Dagster takes any text as one, so it is checked. Raises `WrongUse`."""
    reference = Reference.parse(key, default_folder="agents")
    if reference.folder != "agents":
        raise WrongUse(f"{key!r} is no agent's version", now="a partition is called agent@version")
    return reference.name, reference.version
