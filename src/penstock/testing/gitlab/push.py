"""What a moved branch means: open merge requests follow their heads, webhooks are told."""

from penstock.testing.gitlab.state import GitlabState, MergeRequest, User, Version
from penstock.testing.gitlab.thread import system_note
from penstock.testing.gitlab.webhook import announce_merge_request, announce_push

_NONE = "0" * 40
_MOST_BRANCHES = 3


def take_in(state: GitlabState, user: User, *, silent: bool = False) -> list[str]:
    """Takes in what moved in the repository since the last time; returns the names of branches.

    A push of more than three branches at once tells no webhook. `silent` tells none either.
    """
    before, now = state.heads, state.repository.heads()
    moved = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    state.heads = now
    for name in moved:
        if not silent and len(moved) <= _MOST_BRANCHES:
            announce_push(state, user, name, (before.get(name, _NONE), now.get(name, _NONE)))
    for name in moved:
        for merge_request in state.merge_requests.values():
            if merge_request.state == "opened" and merge_request.source_branch == name and name in now:
                _follow(state, merge_request, user)
            if merge_request.state == "opened" and name in {merge_request.target_branch, merge_request.source_branch}:
                merge_request.reads_to_check = state.settings.checking_reads
    return moved


def add_version(state: GitlabState, merge_request: MergeRequest) -> None:
    """A diff version for the head that the source branch has now."""
    target, head = state.heads[merge_request.target_branch], state.heads[merge_request.source_branch]
    base = state.repository.merge_base(target, head) or target
    merge_request.versions.append(Version(state.next_id(), head, base, target, state.now()))
    merge_request.reads_to_check = state.settings.checking_reads


def _follow(state: GitlabState, merge_request: MergeRequest, user: User) -> None:
    old = merge_request.head
    if state.heads[merge_request.source_branch] == old or merge_request.target_branch not in state.heads:
        return
    add_version(state, merge_request)
    merge_request.updated_at = state.now()
    added = len(state.repository.commits(merge_request.head, since=old, limit=100))
    system_note(state, merge_request, user, f"added {added} commit{'' if added == 1 else 's'}")
    if state.settings.reset_approvals_on_push:
        merge_request.approvals.clear()
    announce_merge_request(state, merge_request, user, "update", oldrev=old)
