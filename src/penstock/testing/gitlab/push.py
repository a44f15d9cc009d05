"""What a moved branch means: open merge requests follow their heads, webhooks are told."""

from penstock.testing.gitlab.state import GitlabState, MergeRequest, User, Version
from penstock.testing.gitlab.thread import system_note
from penstock.testing.gitlab.webhook import announce_merge_request, announce_push, state_change

_NONE = "0" * 40
_MOST_BRANCHES = 3


def take_in(state: GitlabState, user: User) -> list[str]:
    """Takes in what moved in the repository since the last time; returns the names of branches.

    A push of more than three branches at once tells no webhook.
    """
    before, now = state.heads, state.repository.heads()
    moved = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    state.heads = now
    for name in moved:
        if len(moved) <= _MOST_BRANCHES:
            announce_push(state, user, name, (before.get(name, _NONE), now.get(name, _NONE)))
    for merge_request in [made for made in state.merge_requests.values() if made.state == "opened"]:
        source, target = merge_request.source_branch, merge_request.target_branch
        if source in moved and source in now:
            _follow(state, merge_request, user)
        if target in moved and target in before and target in now:
            _settle(state, merge_request, user, (before[target], now[target]))
        if {source, target} & set(moved):
            merge_request.reads_to_check = state.settings.checking_reads
    return moved


def add_version(state: GitlabState, merge_request: MergeRequest) -> None:
    """A diff version for the head that the source branch has now; none where a branch is gone."""
    target, head = state.heads.get(merge_request.target_branch), state.heads.get(merge_request.source_branch)
    if target is None or head is None:
        return
    base = state.repository.merge_base(target, head) or target
    merge_request.versions.append(Version(state.next_id(), head, base, target, state.now()))
    merge_request.reads_to_check = state.settings.checking_reads
    state.repository.keep(merge_request.iid, head)


def _settle(state: GitlabState, merge_request: MergeRequest, user: User, moved: tuple[str, str]) -> None:
    """A merge request whose head was pushed to the target branch counts as merged."""
    old, new = moved
    head, repository = merge_request.head, state.repository
    if repository.is_ancestor(head, old) or not repository.is_ancestor(head, new):
        return
    merge_request.state, merge_request.merge_user = "merged", user
    merge_request.merged_at = merge_request.updated_at = state.now()
    system_note(state, merge_request, user, "merged manually")
    announce_merge_request(state, merge_request, user, "merge", changes=state_change("opened", "merged"))


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
