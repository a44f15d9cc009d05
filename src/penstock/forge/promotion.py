"""A promotion as a merge request of the bot's: one open a branch, found again instead of opened twice."""

import re
from typing import Any

from penstock.errors import Conflict, Refused
from penstock.forge.connection import Connection, open_connection
from penstock.forge.marker import harmless, mark
from penstock.release.move import Move
from penstock.release.proposal import Proposal, Proposer
from penstock.settings import Settings

KIND = "promotion"
LABEL = "penstock::promotion"
LONGEST = 1_000_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


class GitlabProposer:
    """Opens the merge requests of promotions (`penstock.release.proposal.Proposer`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def propose(self, branch: str, commit: str, move: Move, text: str) -> Proposal:
        """Opens the merge request of `branch`, whose head is `commit`, or brings the open one up to date.

        Raises `Refused` when somebody else's stands on that branch, `Unavailable` when GitLab is away.
        """
        with open_connection(self.settings) as connection:
            request = put_proposal(connection, self.settings.base_branch, branch, proposal_text(commit, move, text))
            return Proposal(str(request.attributes.get("web_url", "")), int(request.iid))


def open_proposer(settings: Settings) -> Proposer:
    """The proposer of a project at GitLab; nothing is asked yet."""
    return GitlabProposer(settings)


def put_proposal(connection: Connection, target: str, branch: str, said: dict[str, Any]) -> Any:
    """The open merge request from `branch` to `target`, made now if there is none, saying what is `said`."""
    for _ in range(2):
        opened = connection.merge_requests(state="opened", source_branch=branch, target_branch=target)
        mine = [one for one in opened if one["author"]["id"] == connection.me["id"]]
        if mine:
            return _updated(connection, mine[0], said)
        if opened:
            raise Refused(
                f"!{opened[0]['iid']} is open on branch {branch} and is not the bot's",
                where=str(opened[0].get("web_url", "")),
                now="close it: the branch is the bot's",
            )
        try:
            made = connection.project.mergerequests.create({"source_branch": branch, "target_branch": target, **said})
            return connection.merge_request(made.iid)
        except Conflict as error:  # somebody opened it first: the second look finds that
            refused = error
    raise refused


def proposal_text(commit: str, move: Move, text: str) -> dict[str, Any]:
    """What the merge request says: title, plan, and what approving or closing it does."""
    parts = [mark(KIND, {"commit": commit, "evidence": move.evidence}), harmless(text), _meaning(commit, move)]
    return {
        "title": _title(move),
        "description": "\n\n".join(parts)[:LONGEST],
        "labels": [LABEL],
        "squash": False,
        "remove_source_branch": True,
    }


def _title(move: Move) -> str:
    what = move.sentence.removesuffix(f" {move.stage}") if move.stage is not None else move.sentence
    to = f" to {move.stage}" if move.action == "promote" else ""
    return f"{what[:1].upper()}{what[1:]}{to}"


def _meaning(commit: str, move: Move) -> str:
    """What approving and closing it does: a step of a canary and what is in force already ask nobody."""
    merged = "It is merged once nothing stands in the way."
    if move.action != "promote":
        return f"It asks for no approval. {merged}"
    return (
        f"Approving this merge request approves evidence `{move.evidence}` for {move.stage}, for commit "
        f"`{commit[:12]}` and no other. {merged} Closing it ends the promotion."
    )


def _updated(connection: Connection, found: dict[str, Any], said: dict[str, Any]) -> Any:
    request = connection.merge_request(found["iid"])
    if request.title != said["title"] or _timeless(request.description or "") != _timeless(said["description"]):
        connection.project.mergerequests.update(
            request.iid, {"title": said["title"], "description": said["description"]}
        )
        request = connection.merge_request(found["iid"])
    return request


def _timeless(text: str) -> str:
    """The text without its instants: a plan that is made again says other ones and nothing else."""
    return _TIME.sub("", text)
