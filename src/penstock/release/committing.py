"""Writing a stages file to the base branch: a swap on the blob id of that one file."""

import random
import time
from collections.abc import Callable

from penstock.errors import Conflict
from penstock.release.crash_point import step
from penstock.release.stages_file import stages_path
from penstock.release.workspace import Workspace

ATTEMPTS = 10
JITTER_S = 0.05


def commit_file(
    workspace: Workspace,
    path: str,
    expected: str | None,
    write: Callable[[str], tuple[bytes | None, str]],
    author: tuple[str, str],
) -> str:
    """Commits to `path` what `write(head)` returns (content, message) and pushes it; returns the commit's id.

    Content None removes the file.
    `expected` is the Git id of the file that the change was made from (None: there is none). While only other files
    of the branch move, it commits again on the new head, 10 times. Raises `Conflict`, naming both, once the file
    itself has moved; `Refused` when the remote's rules say no; what `write` raises. Nothing moves then.
    """
    repository, branch = workspace.repository, workspace.settings.base_branch
    for attempt in range(ATTEMPTS):
        head = workspace.base_head()
        _require_blob(workspace, head, path, expected)
        content, message = write(head)
        commit = repository.write_commit(head, {path: content}, message, author)
        step("commit written")
        try:
            repository.push(commit, branch, expected=head)
        except Conflict:
            time.sleep(random.uniform(0, JITTER_S * (attempt + 1)))
            workspace.fetch()
            continue
        step("commit pushed")
        return commit
    raise Conflict(
        f"branch {branch!r} moved {ATTEMPTS} times while the change was written",
        where=path,
        now="try again in a quieter moment",
    )


def commit_stages(
    workspace: Workspace, agent: str, expected: str | None, write: Callable[[str], tuple[bytes | None, str]]
) -> str:
    """`commit_file` for an agent's stages file, by the bot."""
    return commit_file(workspace, stages_path(agent), expected, write, workspace.bot)


def _require_blob(workspace: Workspace, head: str, path: str, expected: str | None) -> None:
    found = workspace.repository.blob_id(head, path)
    if found != expected:
        raise Conflict(
            f"the file moved meanwhile: it was {expected or 'not there'}, and is {found or 'not there'} now",
            where=f"{head[:12]}:{path}",
            now="see `agentctl status`, then decide again",
        )
