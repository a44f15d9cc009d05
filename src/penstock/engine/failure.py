"""Failure: why a run did not finish. The codes are a closed set, and every failure says where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FailureCode = Literal[
    "model",
    "tool",
    "policy",
    "limit",
    "budget",
    "timeout",
    "schema",
    "runtime",
    "cancel",
    "replay-miss",
    "fixture-missing",
    "unavailable",
]


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, where, and what to do now; of facts alone, never of payloads.

    `ledger` is what a budget was spent on, where one refused.
    """

    code: FailureCode
    what: str
    where: str
    now: str = ""
    ledger: Sequence[Mapping[str, Any]] = ()

    def as_document(self) -> dict[str, Any]:
        """The failure as a JSON object."""
        ledger = {"ledger": list(self.ledger)} if self.ledger else {}
        return {"code": self.code, "what": self.what, "where": self.where, "now": self.now, **ledger}


class RunOver(Exception):
    """Raised by a door once the run is over: nothing may be called any more."""
