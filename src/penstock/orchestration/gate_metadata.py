"""What each gate found, by the shape of its artifacts: tables and pictures for its check, figures for the evidence."""

import math
from collections.abc import Mapping
from typing import Any

from penstock.contracts.gate_result import GateResult
from penstock.orchestration.difference_metadata import difference_figures, difference_metadata
from penstock.orchestration.evaluation_metadata import evaluation_figures, evaluation_metadata
from penstock.orchestration.metadata_table import metadata_table
from penstock.reporting.dataset import DatasetRow
from penstock.reporting.gate_facts import GateFacts, gate_facts


def gate_metadata(result: GateResult) -> dict[str, Any]:
    """Everything that a check shows of its gate beyond the verdict; what has no known shape stays in the report."""
    facts = _facts(result)
    shown: dict[str, Any] = {}
    if facts.evaluation is not None:
        shown |= evaluation_metadata(facts.evaluation)
    if facts.difference is not None:
        shown |= difference_metadata(facts.difference)
    if facts.datasets is not None and facts.datasets.datasets:
        shown["datasets"] = metadata_table([row for one in facts.datasets.datasets for row in dataset_rows(one)])
    return {**gate_figures(result), **shown}


def gate_figures(result: GateResult) -> dict[str, float]:
    """The gate's numbers, which Dagster plots over the releases; what is not known is left out."""
    facts = _facts(result)
    figures: Mapping[str, float | None] = {}
    if facts.evaluation is not None:
        figures = evaluation_figures(facts.evaluation)
    elif facts.difference is not None:
        figures = difference_figures(facts.difference)
    return {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}


def dataset_rows(one: DatasetRow) -> list[dict[str, Any]]:
    """A dataset's checks as rows, the failed ones first."""
    ordered = sorted(one.checks, key=lambda check: check.outcome != "failed")
    return [
        {
            "dataset": one.name,
            "column": check.column or "",
            "asked": check.limit,
            "outcome": check.outcome,
            "seen": check.observed,
            "expectation": check.expectation,
        }
        for check in ordered
    ]


def _facts(result: GateResult) -> GateFacts:
    (facts,) = gate_facts({"gates": [{"gate": result.gate, "artifacts": result.artifacts}]})
    return facts
