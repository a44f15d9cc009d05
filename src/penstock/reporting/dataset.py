"""Datasets and what was checked of them before their use, as the artifacts of any gate hold them."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from penstock.contracts.document import Record


class Check(Record):
    """One expectation of a dataset."""

    expectation: str
    column: str | None = None
    outcome: str
    observed: Any = None
    limit: Any = None


class DatasetRow(Record):
    """One dataset; `chosen` is how many of its cases were used."""

    name: str
    digest: str | None = None
    cases: int | None = None
    chosen: int | None = None
    why: str | None = None
    checks: list[Check] = Field(default_factory=list)


class DatasetsShown(Record):
    """What a gate says of its datasets."""

    datasets: list[DatasetRow]


def distinct(found: Iterable[DatasetsShown]) -> list[DatasetRow]:
    """Every dataset once: gates that use the same one checked the same."""
    rows = {(row.name, row.digest): row for shown in found for row in reversed(shown.datasets)}
    return [rows[key] for key in sorted(rows, key=str)]
