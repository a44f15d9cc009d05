"""Whether a merge request can be merged, and the words in which GitLab says why not."""

from penstock.testing.gitlab.state import GitlabState, MergeRequest, Pipeline


def merge_status(state: GitlabState, merge_request: MergeRequest) -> str:
    """GitLab's older word, which knows of conflicts alone."""
    if merge_request.reads_to_check > 0 and merge_request.state == "opened":
        return "checking"
    if not branches_exist(state, merge_request):
        return "cannot_be_merged"
    return "cannot_be_merged" if has_conflicts(state, merge_request) else "can_be_merged"


def detailed_status(state: GitlabState, merge_request: MergeRequest) -> str:
    """`mergeable`, or the first reason against it."""
    if merge_request.state == "opened" and merge_request.reads_to_check > 0:
        return "checking"
    return state_reason(state, merge_request) or branch_reason(state, merge_request) or "mergeable"


def state_reason(state: GitlabState, merge_request: MergeRequest) -> str:
    """What stands against a merge before its branches are looked at; "" for nothing. Answered with 405."""
    settings = state.settings
    if merge_request.state != "opened":
        return "not_open"
    if merge_request.draft:
        return "draft_status"
    if not branches_exist(state, merge_request):
        return "commits_status"
    if settings.needs_resolved_discussions and _unresolved(merge_request):
        return "discussions_not_resolved"
    if len(merge_request.approvals) < settings.approvals_required:
        return "not_approved"
    return _pipeline_reason(state, merge_request) if settings.needs_pipeline else ""


def branch_reason(state: GitlabState, merge_request: MergeRequest) -> str:
    """What the branches themselves say against a merge; "" for nothing. Answered with 422."""
    if has_conflicts(state, merge_request):
        return "conflict"
    if state.settings.merge_method != "merge" and not _is_ahead(state, merge_request):
        return "need_rebase"
    return ""


def has_conflicts(state: GitlabState, merge_request: MergeRequest) -> bool:
    """Whether the two branches conflict; a merge request that is not open has no conflict."""
    if merge_request.state != "opened" or not branches_exist(state, merge_request):
        return False
    return state.repository.conflicts(state.heads[merge_request.target_branch], merge_request.head)


def branches_exist(state: GitlabState, merge_request: MergeRequest) -> bool:
    """Whether there is something to merge and something to merge into."""
    return merge_request.source_branch in state.heads and merge_request.target_branch in state.heads


def head_pipeline(state: GitlabState, merge_request: MergeRequest) -> Pipeline | None:
    """The newest pipeline of the head."""
    return next((made for made in reversed(state.pipelines) if made.sha == merge_request.head), None)


def squashes(state: GitlabState, merge_request: MergeRequest, asked: bool | None) -> bool:
    """Whether a merge squashes: the project's setting, else what was asked, else what the merge request says."""
    fixed = {"always": True, "never": False}.get(state.settings.squash_option)
    if fixed is not None:
        return fixed
    return merge_request.squash if asked is None else asked


def _is_ahead(state: GitlabState, merge_request: MergeRequest) -> bool:
    return state.repository.is_ancestor(state.heads[merge_request.target_branch], merge_request.head)


def _unresolved(merge_request: MergeRequest) -> bool:
    return any(thread.resolvable and not thread.resolved for thread in merge_request.discussions)


def _pipeline_reason(state: GitlabState, merge_request: MergeRequest) -> str:
    pipeline = head_pipeline(state, merge_request)
    if pipeline is None:
        return "ci_must_pass"
    if pipeline.status == "success":
        return ""
    return "ci_must_pass" if pipeline.status in {"failed", "canceled", "skipped"} else "ci_still_running"
