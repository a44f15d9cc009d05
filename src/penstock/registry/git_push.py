"""Moving a branch: at a remote by push, or in the clone itself where there is no remote."""

from pathlib import Path

from penstock.errors import Conflict, Refused, Unavailable
from penstock.registry.git_command import Answer, git

# git's words when somebody else was first, from its own check and from the remote's.
_RACES = ("stale info", "fetch first", "non-fast-forward", "failed to update ref", "cannot lock ref", "incorrect old")


def push_commit(
    root: Path,
    commit: str,
    branch: str,
    *,
    target: str | None,
    tracking: str | None,
    expected: str | None,
    forced: bool = False,
) -> None:
    """Pushes `commit` to `branch` of the remote `target`, or moves the local branch if there is none.

    `forced`: from `expected` (None: from nothing) to whatever `commit` is. Raises `Conflict`, `Refused` or
    `Unavailable` as `Repository.push` says.
    """
    if target is None:
        _move_here(root, commit, branch, expected)
        return
    lease = [f"--force-with-lease=refs/heads/{branch}:{expected or ''}"] if expected or forced else []
    answer = git(root, ["push", "--porcelain", *lease, target, f"{commit}:refs/heads/{branch}"])
    if answer.status:
        raise _refusal(root, answer, branch, target=target, expected=expected)
    if tracking is not None:
        git(root, ["update-ref", tracking, commit])


def remote_head(root: Path, target: str, branch: str) -> str | None:
    """The head of a branch of the remote `target` now; None if it has none. Raises `Unavailable`."""
    answer = git(root, ["ls-remote", target, f"refs/heads/{branch}"])
    if answer.status:
        raise Unavailable(
            f"git ls-remote failed: {answer.words}", where=target, now="check the network and your rights"
        )
    found = answer.out.split()
    return found[0] if found else None


def _refusal(
    root: Path, answer: Answer, branch: str, *, target: str, expected: str | None
) -> Conflict | Refused | Unavailable:
    line = next((line for line in answer.out.splitlines() if line.startswith("!")), "")
    if any(words in line for words in _RACES):
        found = git(root, ["ls-remote", target, f"refs/heads/{branch}"]).out.split()
        return Conflict(
            f"branch {branch!r} moved: expected {expected or 'an ancestor'}, found {found[0] if found else 'nothing'}",
            where=target,
            now="fetch and try again",
        )
    if line:
        reason = line.rpartition("\t")[2]
        words = f"{reason}; {answer.words}" if answer.words else reason
        return Refused(f"the remote does not take a push to {branch!r}: {words}", where=target, now="see its rules")
    return Unavailable(f"git push failed: {answer.words}", where=target, now="check the network and your rights")


def _move_here(root: Path, commit: str, branch: str, expected: str | None) -> None:
    reference = f"refs/heads/{branch}"
    found = git(root, ["rev-parse", "--verify", "--quiet", reference]).out.strip()
    if expected is not None and found != expected:
        raise _moved(branch, expected, found, root)
    if found and git(root, ["merge-base", "--is-ancestor", found, commit]).status:
        raise _moved(branch, "an ancestor of the new commit", found, root)
    if git(root, ["symbolic-ref", "--quiet", "HEAD"]).out.strip() == reference and _has_checkout(root):
        answer = git(root, ["merge", "--ff-only", "--quiet", commit])
    else:
        answer = git(root, ["update-ref", reference, commit, found or "0" * 40])
    if answer.status:
        now = git(root, ["rev-parse", "--verify", "--quiet", reference]).out.strip()
        if now != found:
            raise _moved(branch, expected or found, now, root)
        raise Refused(f"branch {branch!r} does not move: {answer.words}", where=str(root), now="commit or put aside")


def _has_checkout(root: Path) -> bool:
    return git(root, ["rev-parse", "--is-inside-work-tree"]).out.strip() == "true"


def _moved(branch: str, expected: str, found: str, root: Path) -> Conflict:
    return Conflict(
        f"branch {branch!r} moved: expected {expected}, found {found or 'nothing'}",
        where=str(root),
        now="read it again and try again",
    )
