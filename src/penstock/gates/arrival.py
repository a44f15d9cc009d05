"""How a version came to the base branch: the commit that brought it, and what that was put onto."""

from dataclasses import dataclass

from penstock.errors import NotFound, Unavailable
from penstock.registry.git import Repository
from penstock.registry.git_command import git


@dataclass(frozen=True, slots=True)
class Arrival:
    """`commit` is the merge (or the commit itself, where nothing is merged); `base` None = it began the history."""

    commit: str
    base: str | None


def find_arrival(repository: Repository, head: str, path: str) -> Arrival:
    """The commit on the first-parent line up to `head` since which the file at `path` has stood there.

    Raises `NotFound` when it does not stand at `head`, `Unavailable` in a clone that is too shallow to tell.
    """
    if repository.blob_id(head, path) is None:
        raise NotFound(f"{path} is not on the base branch", where=head[:12], now="merge it first")
    commit = head
    while parents := repository.commit(commit).parents:
        if repository.blob_id(parents[0], path) is None:
            return Arrival(commit, parents[0])
        commit = parents[0]
    if git(repository.root, ["rev-parse", "--is-shallow-repository"]).out.strip() == "true":
        raise Unavailable(
            f"this clone is shallow: the commit that brought {path} is not here",
            where=str(repository.root),
            now="`git fetch --unshallow` (in GitLab CI: GIT_DEPTH: 0)",
        )
    return Arrival(commit, None)
