"""Failure: why a run did not finish. The codes are a closed set, and every failure says where."""

from dataclasses import dataclass
from typing import Literal

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
    """What went wrong, where, and what to do now; of facts alone, never of payloads."""

    code: FailureCode
    what: str
    where: str
    now: str = ""

    def as_document(self) -> dict[str, str]:
        """The failure as a JSON object."""
        return {"code": self.code, "what": self.what, "where": self.where, "now": self.now}


class RunOver(Exception):
    """Raised by a door once the run is over: nothing may be called any more."""
