"""One line of a dataset's checks, as commands and reports show it."""

from dataclasses import dataclass
from typing import Any, Literal

CheckOutcome = Literal["passed", "failed", "not judged"]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """What was expected of a column (or of the dataset: empty), how it came out, what was seen, what was asked."""

    expectation: str
    column: str
    outcome: CheckOutcome
    observed: str
    limit: str

    @property
    def text(self) -> str:
        """The row in one line: of which column what is asked, what was seen, and the expectation's own name."""
        asked = ": ".join(part for part in (self.column, self.limit) if part)
        return f"{asked}: {self.observed} [{self.expectation}]" if asked else f"{self.observed} [{self.expectation}]"

    def as_document(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "expectation": self.expectation,
            "column": self.column,
            "outcome": self.outcome,
            "observed": self.observed,
            "limit": self.limit,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "CheckRow":
        """Reads what `as_document` wrote."""
        return cls(**document)
