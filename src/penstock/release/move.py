"""A move as its commit says it: what was done, and in trailers what allowed it."""

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.contracts.evidence import Approval
from penstock.contracts.policy import Stage
from penstock.gates.context import STAGES
from penstock.registry.commit import Commit, write_trailers

ACTION = "Penstock-Action"
SKIP_CI = "[skip ci]"


@dataclass(frozen=True, slots=True)
class Move:
    """One change of one agent's stages file.

    `action` is promote, restore, or an urgent one (rollback, freeze, ...). A promotion names version, stage and
    evidence; `approvals` are digests of approvals, `override` that of the logged request that overrode the evidence.
    An urgent one names the `overlay` entry that it writes down. `by` says who asked for it, in the message alone.
    """

    action: str
    agent: str
    version: str = ""
    stage: Stage | None = None
    evidence: str = ""
    approved_by: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    overlay: str = ""
    override: str = ""
    reason: str = ""
    by: str = ""

    @property
    def sentence(self) -> str:
        """The move in a few words: `promote helper@1.1.0 canary`, `rollback helper`."""
        what = f"{self.agent}@{self.version}" if self.version else self.agent
        return " ".join(filter(None, [self.action, what, self.stage]))

    @property
    def claim(self) -> tuple[str, ...]:
        """What the move does and rests on; who approved it meanwhile, and its words, are left out."""
        return self.sentence, self.evidence, self.overlay, self.override

    def message(self) -> str:
        """The commit's message."""
        trailers = {
            ACTION: [self.sentence],
            "Evidence": [self.evidence] if self.evidence else [],
            "Approved-by": list(self.approved_by),
            "Approval": list(self.approvals),
            "Overlay": [self.overlay] if self.overlay else [],
            "Override": [self.override] if self.override else [],
            "Reason": [self.reason] if self.reason else [],
        }
        subject = f"{self.sentence[:1].upper()}{self.sentence[1:]} {SKIP_CI}"
        return write_trailers(subject, f"Asked for by {self.by}." if self.by else "", trailers)

    @classmethod
    def of(cls, commit: Commit, agent: str) -> "Move | None":
        """The move that a commit says of itself for this agent; None if it says none."""
        for sentence in commit.trailers.get(ACTION, ()):
            words = sentence.split()
            name, _, version = words[1].partition("@") if len(words) > 1 else ("", "", "")
            if name != agent:
                continue
            stage = next((stage for stage in STAGES if stage == words[-1]), None) if len(words) > 2 else None
            return cls(
                words[0],
                agent,
                version,
                stage,
                _first(commit, "Evidence"),
                tuple(commit.trailers.get("Approved-by", ())),
                tuple(commit.trailers.get("Approval", ())),
                _first(commit, "Overlay"),
                _first(commit, "Override"),
                _first(commit, "Reason"),
            )
        return None


def approved_by(approvals: Iterable[Approval]) -> tuple[str, ...]:
    """The people of `approvals` as trailers name them."""
    return tuple(f"{approval.name or approval.who} <{approval.who}>" for approval in approvals)


def _first(commit: Commit, key: str) -> str:
    return next(iter(commit.trailers.get(key, ())), "")
