"""Merging: real commits in the repository, by the project's method."""

from penstock.testing.gitlab.ask import Refusal, refuse
from penstock.testing.gitlab.push import take_in
from penstock.testing.gitlab.state import GitlabState, MergeRequest, User
from penstock.testing.gitlab.thread import system_note
from penstock.testing.gitlab.webhook import announce_merge_request, state_change


def merge(
    state: GitlabState,
    merge_request: MergeRequest,
    user: User,
    *,
    messages: tuple[str, str],
    squash: bool,
    remove: bool,
) -> None:
    """Merges what is known to be mergeable; `messages`: of the merge and the squash commit, "" for GitLab's.

    Raises `Refusal` (422) where the branches conflict after all.
    """
    target, head = state.heads[merge_request.target_branch], merge_request.head
    if squash:
        head = _squash(state, merge_request, user, messages[1])
        merge_request.squash_commit_sha = head
    landed = _land(state, merge_request, user, (target, head), messages[0])
    if landed is None:
        raise _cannot()
    state.repository.set_branch(merge_request.target_branch, landed)
    if remove and merge_request.source_branch not in state.settings.protected:
        state.repository.set_branch(merge_request.source_branch, None)
    merge_request.state = "merged"
    merge_request.merge_user = user
    merge_request.merged_at = merge_request.updated_at = state.now()
    system_note(state, merge_request, user, "merged")
    take_in(state, user)
    announce_merge_request(state, merge_request, user, "merge", changes=state_change("opened", "merged"))


def rebase(state: GitlabState, merge_request: MergeRequest, user: User) -> None:
    """Puts the source branch onto the target; raises `Refusal` (422) where that needs a person."""
    target = state.heads[merge_request.target_branch]
    moved = state.repository.rebase(target, merge_request.head, (user.name, user.email), state.now())
    if moved is None:
        raise _cannot()
    state.repository.set_branch(merge_request.source_branch, moved)
    take_in(state, user)


def _squash(state: GitlabState, merge_request: MergeRequest, user: User, message: str) -> str:
    author = merge_request.author
    identities = ((author.name, author.email), (user.name, user.email))
    base = merge_request.versions[-1].base
    return state.repository.squash(base, merge_request.head, message or merge_request.title, identities, state.now())


def _land(
    state: GitlabState, merge_request: MergeRequest, user: User, sides: tuple[str, str], message: str
) -> str | None:
    target, head = sides
    identity = (user.name, user.email)
    if state.settings.merge_method == "ff":
        return head  # what is not ahead of its target does not come this far
    if not message:
        see = f"See merge request {state.settings.path}!{merge_request.iid}"
        branches = f"Merge branch '{merge_request.source_branch}' into '{merge_request.target_branch}'"
        message = f"{branches}\n\n{merge_request.title}\n\n{see}"
    landed = state.repository.merge(target, head, message, identity, state.now())
    merge_request.merge_commit_sha = landed
    return landed


def _cannot() -> Refusal:
    return refuse(422, "Branch cannot be merged")
