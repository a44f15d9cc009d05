"""Writing a stages file to the base branch: a swap on the blob id of that one file, by a push or by a proposal."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from penstock.errors import Conflict, NotFound, Refused, Unavailable
from penstock.registry.commit import Commit
from penstock.release.crash_point import step
from penstock.release.history import Behind
from penstock.release.move import Move
from penstock.release.proposal import Proposal, proposal_branch
from penstock.release.stages_file import stages_path
from penstock.release.workspace import Workspace

ATTEMPTS = 10
JITTER_S = 0.05


@dataclass(frozen=True, slots=True)
class Written:
    """What a stages file becomes (None: it goes), the move that makes it so, and what a proposal of it tells.

    `at` is the moment that the file's own times were taken at: its commit says the same, however the clock steps in
    between. None = when the commit is made.
    """

    content: bytes | None
    move: Move
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A commit: on the base branch or, with a proposal, on a branch that waits to be merged."""

    commit: str
    proposal: Proposal | None = None


def commit_stages(workspace: Workspace, agent: str, expected: str | None, write: Callable[[str], Written]) -> Delivered:
    """Commits what `write(head)` makes of an agent's stages file, by the bot.

    It is pushed, or proposed where the project wants that (`promotion`) or where the remote takes no push and there is
    a forge. Raises as `commit_file` does.
    """
    if workspace.settings.promotion == "merge-request":
        return _propose(workspace, agent, expected, write)

    def plain(head: str) -> tuple[bytes | None, str, datetime | None]:
        written = write(head)
        return written.content, written.move.message(), written.at

    try:
        return Delivered(commit_file(workspace, stages_path(agent), expected, plain, workspace.bot))
    except PushRefused:
        if workspace.proposer is None:
            raise
        return _propose(workspace, agent, expected, write)


class PushRefused(Refused):
    """The rules of the remote keep the bot from pushing to the base branch."""


def commit_file(
    workspace: Workspace,
    path: str,
    expected: str | None,
    write: Callable[[str], tuple[bytes | None, str, datetime | None]],
    author: tuple[str, str],
) -> str:
    """Commits to `path` what `write(head)` returns and pushes it; returns the commit's id.

    `write` returns the content (None removes the file), the message, and when the commit is said to be made (None:
    now).
    `expected` is the Git id of the file that the change was made from (None: there is none). While only other files
    of the branch move, it commits again on the new head, 10 times. Raises `Conflict`, naming both, once the file
    itself has moved; `PushRefused` when the remote's rules say no; what `write` raises. Nothing moves then.
    """
    repository, branch = workspace.repository, workspace.settings.base_branch
    for attempt in range(ATTEMPTS):
        head = workspace.base_head()
        _require_blob(workspace, head, path, expected)
        try:
            content, message, at = write(head)
        except Behind:
            workspace.fetch()
            if workspace.base_head() == head:
                raise
            continue
        commit = repository.write_commit(head, {path: content}, message, author, at)
        step("commit written")
        try:
            repository.push(commit, branch, expected=head)
        except Conflict:
            time.sleep(random.uniform(0, JITTER_S * (attempt + 1)))
            workspace.fetch()
            continue
        except Refused as error:
            raise PushRefused(error.what, where=error.where, now=error.now) from None
        step("commit pushed")
        return commit
    raise Conflict(
        f"branch {branch!r} moved {ATTEMPTS} times while the change was written",
        where=path,
        now="try again in a quieter moment",
    )


def _propose(workspace: Workspace, agent: str, expected: str | None, write: Callable[[str], Written]) -> Delivered:
    """Pushes the commit to the move's own branch and opens its merge request, or finds what is open already.

    A proposal that says the same and still fits stays as it is: what people approved is that very commit.
    """
    if workspace.proposer is None:
        raise Unavailable(
            "the project moves by merge requests, and no forge is set up",
            where="[tool.penstock] promotion",
            now='set gitlab_url, gitlab_project and PENSTOCK_GITLAB_TOKEN, or promotion = "push"',
        )
    head, path = workspace.base_head(), stages_path(agent)
    _require_blob(workspace, head, path, expected)
    written = write(head)
    branch = proposal_branch(agent, written.move.stage or written.move.action)
    commit = _standing_proposal(workspace, branch, path, expected, written)
    if commit is None:
        message = written.move.message()
        commit = workspace.repository.write_commit(head, {path: written.content}, message, workspace.bot, written.at)
        step("commit written")
        workspace.repository.push_aside(commit, branch)
        step("proposal pushed")
    return Delivered(commit, workspace.proposer.propose(branch, commit, written.move, written.text))


def _standing_proposal(
    workspace: Workspace, branch: str, path: str, expected: str | None, written: Written
) -> str | None:
    """The head of the branch, if it is this very move on the file as it is now, not merged; its times may be older."""
    repository = workspace.repository
    head = repository.branch_head(branch)
    try:
        commit = repository.commit(head) if head is not None else None
    except NotFound:  # pushed by another clone since the last fetch
        return None
    if commit is None or not _waits(workspace, commit, path):
        return None
    found = Move.of(commit, written.move.agent)
    if found is None or found.claim != written.move.claim:
        return None
    return head if repository.blob_id(commit.parents[0], path) == expected else None


def _waits(workspace: Workspace, commit: Commit, path: str) -> bool:
    """Whether a commit is one of the file alone, made on the base branch and not merged yet."""
    repository, base = workspace.repository, workspace.base_head()
    if not repository.changes_alone(commit.id, path) or repository.is_ancestor(commit.id, base):
        return False
    return repository.is_ancestor(commit.parents[0], base)


def _require_blob(workspace: Workspace, head: str, path: str, expected: str | None) -> None:
    found = workspace.repository.blob_id(head, path)
    if found != expected:
        raise Conflict(
            f"the file moved meanwhile: it was {expected or 'not there'}, and is {found or 'not there'} now",
            where=f"{head[:12]}:{path}",
            now="see `agentctl status`, then decide again",
        )
