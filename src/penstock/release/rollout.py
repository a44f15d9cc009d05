"""A rollout: how far a canary is at its step, what the live analysis says, and what is to be done about it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from penstock.contracts.document import duration_s
from penstock.contracts.pipeline import CanaryStep
from penstock.release.clock import stamp

Action = Literal["abort", "advance", "hold", "wait", "done"]


class LiveAnalysis(Protocol):
    """What the live sessions of canary and prod say (`penstock.scoring.canary`)."""

    @property
    def outcome(self) -> Literal["passed", "failed", "inconclusive", "errored"]:
        """Worse than prod: failed; nothing says so: passed; nothing to see: inconclusive; no evidence: errored."""
        ...

    @property
    def reason(self) -> str:
        """One sentence."""
        ...

    def as_document(self) -> dict[str, Any]:
        """The analysis as a JSON object."""
        ...


@dataclass(frozen=True, slots=True)
class Rollout:
    """A canary beside prod at one moment, `now`.

    `number` of `count` is its step, in force since `since`; `waiting_since` is that or, if later, when a person lifted
    a hold: the deadline counts from there. `sessions` are the live ones that met the canary at this step. `proof` says
    what `requireNonInferior` still takes (empty: nothing is asked, or it is proven).
    """

    number: int
    count: int
    step: CanaryStep
    since: datetime
    waiting_since: datetime
    now: datetime
    sessions: int
    analysis: LiveAnalysis
    proof: str = ""

    @property
    def soaks_until(self) -> datetime:
        """When the step will have soaked."""
        return self.since + timedelta(seconds=duration_s(self.step.soak))

    @property
    def deadline(self) -> datetime | None:
        """When a person is asked if there are too few sessions still; None = never."""
        seconds = duration_s(self.step.deadline)
        return self.waiting_since + timedelta(seconds=seconds) if seconds else None

    @property
    def waits_for(self) -> tuple[str, ...]:
        """What the step waits for, a sentence each; empty once it is done."""
        here, found = f"step {self.number} of {self.count}", []
        if self.analysis.outcome == "failed":
            found.append(f"the canary is worse than prod: {self.analysis.reason}")
        if self.analysis.outcome == "errored":
            found.append(f"live runs cannot be judged: {self.analysis.reason}")
        if self.now < self.soaks_until:
            found.append(f"{here} ({self.step.percent:g} %) soaks until {stamp(self.soaks_until)}")
        if self.sessions < self.step.min_sessions:
            wanted = self.step.min_sessions
            found.append(f"{here} met {self.sessions} of {wanted} sessions since {stamp(self.since)}")
        return (*found, *([self.proof] if self.proof else []))

    @property
    def unmet(self) -> tuple[str, ...]:
        """What stands between the canary and prod."""
        left = self.count - self.number
        later = f"the canary stands at step {self.number} of {self.count}: {left} more before prod"
        return (*self.waits_for, *([later] if left else []))

    @property
    def action(self) -> Action:
        """What the driver does about it, were nothing else in the way."""
        if self.analysis.outcome == "failed":
            return "abort"
        if not self.waits_for:
            return "advance" if self.number < self.count else "done"
        is_late = self.deadline is not None and self.now >= self.deadline
        lacks_traffic = self.sessions < self.step.min_sessions
        return "hold" if is_late and lacks_traffic and self.analysis.outcome != "errored" else "wait"

    def as_document(self) -> dict[str, Any]:
        """The rollout as a JSON object."""
        return {
            "step": self.number,
            "steps": self.count,
            "percent": self.step.percent,
            "since": stamp(self.since),
            "soaksUntil": stamp(self.soaks_until),
            "deadline": stamp(self.deadline) if self.deadline is not None else None,
            "sessions": self.sessions,
            "minSessions": self.step.min_sessions,
            "action": self.action,
            "waitsFor": list(self.waits_for),
            "analysis": self.analysis.as_document(),
            "sentences": self.sentences,
        }

    @property
    def sentences(self) -> list[str]:
        """Where it is and what its sessions say, a line each."""
        where = f"canary at step {self.number} of {self.count} ({self.step.percent:g} %) since {stamp(self.since)}"
        return [f"{where}, {self.sessions} sessions", f"live analysis: {self.analysis.outcome}: {self.analysis.reason}"]
