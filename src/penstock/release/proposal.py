"""A move that is proposed instead of made: a merge request of the bot, which a person merges or closes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from penstock.plugins import Plugins
from penstock.release.move import Move
from penstock.settings import Settings


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


FORGES: Plugins[Callable[[Settings], Proposer]] = Plugins("forge", "penstock.forges")


@dataclass(frozen=True, slots=True)
class SettledForge:
    """The forge of a project's settings, reached once something is proposed."""

    settings: Settings

    def propose(self, branch: str, commit: str, move: Move, text: str) -> Proposal:
        """As `Proposer.propose`."""
        return FORGES.get("gitlab")(self.settings).propose(branch, commit, move, text)


def forge_of(settings: Settings) -> Proposer | None:
    """The project's forge; None where it names none."""
    return SettledForge(settings) if settings.gitlab_url else None


def proposal_branch(agent: str, move: str) -> str:
    """The branch of the one proposal that an agent may have at a time for a stage, or for a move without one."""
    return f"penstock/{agent}/{move}"
