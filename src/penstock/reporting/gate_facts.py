"""What a report knows of each gate: its line, and those of its artifacts that are of a known shape.

A gate of somebody else, or a result of a later version, may hold anything: what is of no known shape is shown as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from penstock.contracts.document import Record
from penstock.reporting.dataset import DatasetsShown
from penstock.reporting.difference import DifferenceShown
from penstock.reporting.evaluation import EvaluationShown

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class GateFacts:
    """One gate of a report; `document` is its entry there."""

    document: dict[str, Any]
    evaluation: EvaluationShown | None
    difference: DifferenceShown | None
    datasets: DatasetsShown | None

    @property
    def name(self) -> str:
        """The gate's name."""
        return str(self.document["gate"])

    @property
    def other_artifacts(self) -> dict[str, Any]:
        """The artifacts that no shape knows."""
        shapes = [shape for shape in (self.evaluation, self.difference, self.datasets) if shape is not None]
        known = {field.alias or name for shape in shapes for name, field in type(shape).model_fields.items()}
        return {name: value for name, value in self.document["artifacts"].items() if name not in known}


def gate_facts(document: Mapping[str, Any]) -> list[GateFacts]:
    """The gates of a report's document, in their order."""
    return [
        GateFacts(
            gate,
            _as(EvaluationShown, gate["artifacts"]),
            _as(DifferenceShown, gate["artifacts"]),
            _as(DatasetsShown, gate["artifacts"]),
        )
        for gate in document["gates"]
    ]


def _as(shape: type[R], artifacts: Any) -> R | None:
    try:
        return shape.model_validate(artifacts)
    except ValidationError:
        return None
