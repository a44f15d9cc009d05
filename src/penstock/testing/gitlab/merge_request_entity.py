"""A merge request as the API shows it, in a list and on its own."""

from penstock.testing.gitlab.access import may_merge
from penstock.testing.gitlab.ask import Json
from penstock.testing.gitlab.entities import pipeline, pipeline_page, stamp, user_basic
from penstock.testing.gitlab.mergeability import detailed_status, has_conflicts, head_pipeline, merge_status, squashes
from penstock.testing.gitlab.state import GitlabState, MergeRequest, User
from penstock.testing.gitlab.thread import blocking


def merge_request_basic(state: GitlabState, made: MergeRequest) -> Json:
    """What a list shows."""
    path = f"{state.settings.path}!{made.iid}"
    return (
        _people(state, made)
        | _merging(state, made)
        | {
            "id": made.id,
            "iid": made.iid,
            "project_id": state.settings.id,
            "title": made.title,
            "description": made.description,
            "state": made.state,
            "created_at": stamp(made.created_at),
            "updated_at": stamp(made.updated_at),
            "target_branch": made.target_branch,
            "source_branch": made.source_branch,
            "user_notes_count": sum(not note.system for note in made.notes),
            "upvotes": 0,
            "downvotes": 0,
            "source_project_id": state.settings.id,
            "target_project_id": state.settings.id,
            "labels": sorted(made.labels),
            "draft": made.draft,
            "imported": False,
            "imported_from": "none",
            "work_in_progress": made.draft,
            "milestone": None,
            "discussion_locked": None,
            "prepared_at": stamp(made.created_at),
            "reference": f"!{made.iid}",
            "references": {"short": f"!{made.iid}", "relative": f"!{made.iid}", "full": path},
            "web_url": f"{state.project_url}/-/merge_requests/{made.iid}",
            "time_stats": {
                "time_estimate": 0,
                "total_time_spent": 0,
                "human_time_estimate": None,
                "human_total_time_spent": None,
            },
            "task_completion_status": {"count": 0, "completed_count": 0},
        }
    )


def _people(state: GitlabState, made: MergeRequest) -> Json:
    return {
        "merged_by": user_basic(state, made.merge_user),
        "merge_user": user_basic(state, made.merge_user),
        "merged_at": stamp(made.merged_at),
        "closed_by": user_basic(state, made.closed_by),
        "closed_at": stamp(made.closed_at),
        "author": user_basic(state, made.author),
        "assignees": [user_basic(state, user) for user in made.assignees],
        "assignee": user_basic(state, made.assignees[0]) if made.assignees else None,
        "reviewers": [user_basic(state, user) for user in made.reviewers],
    }


def _merging(state: GitlabState, made: MergeRequest) -> Json:
    return {
        "merge_when_pipeline_succeeds": False,
        "merge_status": merge_status(state, made),
        "detailed_merge_status": detailed_status(state, made),
        "merge_after": None,
        "sha": made.head,
        "merge_commit_sha": made.merge_commit_sha,
        "squash_commit_sha": made.squash_commit_sha,
        "should_remove_source_branch": None,
        "force_remove_source_branch": made.remove_source_branch,
        "squash": made.squash,
        "squash_on_merge": squashes(state, made, None),
        "has_conflicts": has_conflicts(state, made),
        "blocking_discussions_resolved": not blocking(made),
        "approvals_before_merge": None,
    }


def merge_request_page(state: GitlabState, made: MergeRequest, user: User | None) -> Json:
    """What its own page shows; the read counts towards the end of a `checking`."""
    shown = merge_request_basic(state, made)
    newest = made.versions[-1] if made.versions else None
    head = head_pipeline(state, made)
    shown |= {
        "subscribed": False,
        "changes_count": str(len(state.repository.diff(newest.base, newest.head))) if newest else None,
        "latest_build_started_at": stamp(head.created_at) if head else None,
        "latest_build_finished_at": None,
        "first_deployed_to_production_at": None,
        "pipeline": pipeline(state, head) if head else None,
        "head_pipeline": pipeline_page(state, head) if head else None,
        "diff_refs": {"base_sha": newest.base, "head_sha": newest.head, "start_sha": newest.start} if newest else None,
        "merge_error": None,
        "first_contribution": False,
        "user": {"can_merge": user is not None and may_merge(state, user, made.target_branch)},
    }
    made.reads_to_check = max(made.reads_to_check - 1, 0)
    return shown
