"""One case of a contract suite: its recording, and what its replays showed."""

from dataclasses import dataclass, field
from typing import Any

from penstock.contracts.suite import ContractCase
from penstock.engine.journal import Journal

Recorded = list[tuple[ContractCase, Journal]]


@dataclass(slots=True)
class CaseReport:
    """What the replays of one case showed; `faults` empty = the case passed."""

    case: str
    faults: list[str] = field(default_factory=list)
    sequence: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    runtimes: list[str] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "case": self.case,
            "faults": self.faults,
            "sequence": self.sequence,
            "changedAgainstBaseline": self.changed,
            "runtimes": self.runtimes,
        }
