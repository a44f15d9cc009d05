"""A move that is proposed instead of made: a merge request of the bot, which a person merges or closes."""

from dataclasses import dataclass
from typing import Protocol

from penstock.release.move import Move


@dataclass(frozen=True, slots=True)
class Proposal:
    """An open merge request: where people read it, and its number there."""

    url: str
    number: int


class Proposer(Protocol):
    """A forge that opens merge requests (`penstock.forge`)."""

    def propose(self, branch: str, commit: str, move: Move, text: str) -> Proposal:
        """Opens the merge request of `branch`, whose head is `commit`, into the base branch, or finds the open one.

        `text` is the plan as Markdown. Asking again changes nothing but the text. Raises `Unavailable`, `Refused`.
        """
        ...


def proposal_branch(agent: str, stage: str) -> str:
    """The branch of the one proposal that an agent and a stage may have at a time."""
    return f"penstock/{agent}/{stage}"
