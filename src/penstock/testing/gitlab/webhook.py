"""The payloads of webhooks, in GitLab's shape, and which webhook is told."""

import uuid
from datetime import UTC, datetime
from typing import Any

from penstock.testing.gitlab.ask import Json
from penstock.testing.gitlab.bare import CommitFacts, is_none
from penstock.testing.gitlab.mergeability import detailed_status, merge_status
from penstock.testing.gitlab.outbox import Delivery
from penstock.testing.gitlab.state import Deployment, GitlabState, Job, MergeRequest, Note, Pipeline, User

_MOST_COMMITS = 20
_STATE_IDS = {"opened": 1, "closed": 2, "merged": 3}
# A pipeline's event shows less of the project.
_SHORT_PROJECT = frozenset({"homepage", "url", "ssh_url", "http_url"})
_VISIBILITY = {"private": 0, "internal": 10, "public": 20}


def announce(state: GitlabState, kind: str, payload: Json) -> None:
    """Puts an event into the outbox, once for each webhook that wants it."""
    event_uuid = str(uuid.uuid4())
    for hook in state.outbox.hooks:
        if hook.wants(kind):
            state.outbox.waiting.append(Delivery(hook, kind, payload, str(uuid.uuid4()), event_uuid))


def announce_push(state: GitlabState, user: User, branch: str, moved: tuple[str, str]) -> None:
    """A branch moved from one commit to another; forty zeros stand for none."""
    before, after = moved
    facts: list[CommitFacts] = []
    if not is_none(after):
        since = before if not is_none(before) else state.heads.get(state.settings.default_branch)
        facts = state.repository.commits(after, since=None if since == after else since)
    payload = {
        "object_kind": "push",
        "event_name": "push",
        "before": before,
        "after": after,
        "ref": f"refs/heads/{branch}",
        "checkout_sha": None if is_none(after) else after,
        "user_id": user.id,
        "user_name": user.name,
        "user_username": user.username,
        "user_email": user.public_email,
        "user_avatar": _avatar(state, user),
        "project_id": state.settings.id,
        "project": _project(state),
        "repository": _repository(state) | _repository_urls(state),
        "commits": [_push_commit(state, one) for one in reversed(facts[:_MOST_COMMITS])],
        "total_commits_count": len(facts),
    }
    announce(state, "push", payload)


def announce_merge_request(
    state: GitlabState,
    merge_request: MergeRequest,
    user: User,
    action: str,
    *,
    changes: Json | None = None,
    **more: Any,
) -> None:
    """A merge request was opened, changed, approved, merged or closed; `oldrev` is given for a moved head."""
    payload = {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": _user(state, user, address=True),
        "project": _project(state),
        "repository": _repository(state),
        "object_attributes": _merge_request(state, merge_request) | {"action": action} | more,
        "labels": [_label(state, name) for name in merge_request.labels],
        "changes": changes or {},
        "assignees": [_user(state, one) for one in merge_request.assignees],
        "reviewers": [_user(state, one) for one in merge_request.reviewers],
    }
    announce(state, "merge_request", payload)


def state_change(before: str, after: str) -> Json:
    """The `changes` of a merge request that went from one state to another."""
    return {"state_id": {"previous": _STATE_IDS[before], "current": _STATE_IDS[after]}}


def field_changes(state: GitlabState, before: Json, after: Json) -> Json:
    """The `changes` of a merge request whose fields (title, labels, ...) were something else before."""
    changes: Json = {}
    for name, now in after.items():
        if now != before[name]:
            sides = {"previous": before[name], "current": now}
            if name == "labels":
                sides = {side: [_label(state, label) for label in labels] for side, labels in sides.items()}
            changes[name] = sides
    return changes


def announce_note(state: GitlabState, merge_request: MergeRequest, note: Note, user: User, action: str) -> None:
    """A comment was written or changed."""
    shown = _merge_request(state, merge_request)
    left_out = {
        "url",
        "assignee_ids",
        "reviewer_ids",
        "state_id",
        "blocking_discussions_resolved",
        "first_contribution",
    }
    payload = {
        "object_kind": "note",
        "event_type": "note",
        "user": _user(state, user, address=True),
        "project_id": state.settings.id,
        "project": _project(state),
        "repository": _repository(state),
        "object_attributes": {
            "id": note.id,
            "note": note.body,
            "noteable_type": "MergeRequest",
            "author_id": note.author.id,
            "created_at": _stamp(note.created_at),
            "updated_at": _stamp(note.updated_at),
            "project_id": state.settings.id,
            "attachment": None,
            "line_code": None,
            "commit_id": "",
            "noteable_id": merge_request.id,
            "system": False,
            "st_diff": None,
            "action": action,
            "url": f"{_merge_request_url(state, merge_request)}#note_{note.id}",
        },
        "merge_request": {name: value for name, value in shown.items() if name not in left_out},
    }
    announce(state, "note", payload)


def announce_pipeline(state: GitlabState, pipeline: Pipeline) -> None:
    """A pipeline began or changed its status."""
    ended = pipeline.status in {"success", "failed", "canceled", "skipped"}
    payload = {
        "object_kind": "pipeline",
        "object_attributes": {
            "id": pipeline.id,
            "iid": pipeline.iid,
            "ref": pipeline.ref,
            "tag": False,
            "sha": pipeline.sha,
            "before_sha": "0" * 40,
            "source": pipeline.source,
            "status": pipeline.status,
            "detailed_status": "passed" if pipeline.status == "success" else pipeline.status,
            "stages": list(dict.fromkeys(job.stage for job in pipeline.jobs)),
            "created_at": _stamp(pipeline.created_at),
            "finished_at": _stamp(pipeline.updated_at) if ended else None,
            "duration": int((pipeline.updated_at - pipeline.created_at).total_seconds()) if ended else None,
            "queued_duration": None,
            "variables": [],
        },
        "merge_request": _pipeline_merge_request(state, pipeline),
        "user": _user(state, pipeline.user, address=True),
        "project": {name: value for name, value in _project(state).items() if name not in _SHORT_PROJECT},
        "commit": {name: value for name, value in _commit(state, pipeline.sha).items() if name != "title"},
        "builds": [_build(state, job, pipeline) for job in pipeline.jobs],
    }
    announce(state, "pipeline", payload)


def announce_deployment(state: GitlabState, deployment: Deployment) -> None:
    """A deployment began or changed its status."""
    facts = state.repository.commit(deployment.sha)
    payload = {
        "object_kind": "deployment",
        "status": deployment.status,
        "status_changed_at": deployment.updated_at.strftime("%Y-%m-%d %H:%M:%S +0000"),
        "deployment_id": deployment.id,
        "deployable_id": None,
        "deployable_url": None,
        "environment": deployment.environment.name,
        "environment_slug": deployment.environment.name.lower().replace("/", "-"),
        "environment_external_url": deployment.environment.external_url,
        "project": _project(state),
        "short_sha": deployment.sha[:8],
        "user": _user(state, deployment.user, address=True),
        "user_url": f"{state.url}/{deployment.user.username}",
        "commit_url": f"{state.project_url}/-/commit/{deployment.sha}",
        "commit_title": facts.title,
        "ref": deployment.ref,
    }
    announce(state, "deployment", payload)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _avatar(state: GitlabState, user: User) -> str:
    return f"{state.url}/uploads/{user.username}.png"


def _user(state: GitlabState, user: User, *, address: bool = False) -> Json:
    shown = {"id": user.id, "name": user.name, "username": user.username, "avatar_url": _avatar(state, user)}
    # GitLab hides an address that its user did not make public.
    return shown | ({"email": user.public_email or "[REDACTED]"} if address else {})


def _project(state: GitlabState) -> Json:
    namespace, _, name = state.settings.path.rpartition("/")
    return {
        "id": state.settings.id,
        "name": name,
        "description": "",
        "web_url": state.project_url,
        "avatar_url": None,
        "git_ssh_url": f"git@example.com:{state.settings.path}.git",
        "git_http_url": f"{state.project_url}.git",
        "namespace": namespace,
        "visibility_level": _VISIBILITY[state.settings.visibility],
        "path_with_namespace": state.settings.path,
        "default_branch": state.settings.default_branch,
        "homepage": state.project_url,
        "url": f"git@example.com:{state.settings.path}.git",
        "ssh_url": f"git@example.com:{state.settings.path}.git",
        "http_url": f"{state.project_url}.git",
    }


def _project_of_merge_request(state: GitlabState) -> Json:
    return {name: value for name, value in _project(state).items() if name != "id"}


def _repository(state: GitlabState) -> Json:
    shown = _project(state)
    return {name: shown[name] for name in ("name", "url", "description", "homepage")}


def _repository_urls(state: GitlabState) -> Json:
    shown = _project(state)
    return {name: shown[name] for name in ("git_http_url", "git_ssh_url", "visibility_level")}


def _commit(state: GitlabState, commit_id: str) -> Json:
    facts = state.repository.commit(commit_id)
    return {
        "id": facts.id,
        "message": facts.message,
        "title": facts.title,
        "timestamp": facts.authored_at.isoformat(timespec="seconds"),
        "url": f"{state.project_url}/-/commit/{facts.id}",
        "author": {"name": facts.author[0], "email": facts.author[1]},
    }


def _push_commit(state: GitlabState, facts: CommitFacts) -> Json:
    changes = state.repository.commit_diff(facts.id)
    return _commit(state, facts.id) | {
        "added": [change.new_path for change in changes if change.status == "A"],
        "modified": [change.new_path for change in changes if change.status not in "AD"],
        "removed": [change.old_path for change in changes if change.status == "D"],
    }


def _label(state: GitlabState, name: str) -> Json:
    made = _stamp(state.created_at)
    return {
        "id": 1 + sum(name.encode()),
        "title": name,
        "color": "#ffffff",
        "project_id": state.settings.id,
        "created_at": made,
        "updated_at": made,
        "template": False,
        "description": None,
        "type": "ProjectLabel",
        "group_id": None,
    }


def _merge_request_url(state: GitlabState, merge_request: MergeRequest) -> str:
    return f"{state.project_url}/-/merge_requests/{merge_request.iid}"


def _merge_request(state: GitlabState, merge_request: MergeRequest) -> Json:
    return {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "target_branch": merge_request.target_branch,
        "source_branch": merge_request.source_branch,
        "source_project_id": state.settings.id,
        "target_project_id": state.settings.id,
        "author_id": merge_request.author.id,
        "assignee_ids": [user.id for user in merge_request.assignees],
        "assignee_id": merge_request.assignees[0].id if merge_request.assignees else None,
        "reviewer_ids": [user.id for user in merge_request.reviewers],
        "title": merge_request.title,
        "created_at": _stamp(merge_request.created_at),
        "updated_at": _stamp(merge_request.updated_at),
        "milestone_id": None,
        "state": merge_request.state,
        "state_id": _STATE_IDS[merge_request.state],
        "blocking_discussions_resolved": not _has_blocking(merge_request),
        "work_in_progress": merge_request.draft,
        "first_contribution": False,
        "merge_status": merge_status(state, merge_request),
        "detailed_merge_status": detailed_status(state, merge_request),
        "description": merge_request.description,
        "url": _merge_request_url(state, merge_request),
        "source": _project_of_merge_request(state),
        "target": _project_of_merge_request(state),
        "last_commit": _commit(state, merge_request.head),
        "labels": [_label(state, name) for name in merge_request.labels],
    }


def _has_blocking(merge_request: MergeRequest) -> bool:
    return any(thread.resolvable and not thread.resolved for thread in merge_request.discussions)


def _pipeline_merge_request(state: GitlabState, pipeline: Pipeline) -> Json | None:
    if pipeline.source != "merge_request_event":
        return None
    for merge_request in state.merge_requests.values():
        if merge_request.head == pipeline.sha:
            shown = _merge_request(state, merge_request)
            names = ("id", "iid", "title", "source_branch", "source_project_id", "target_branch", "target_project_id")
            return {name: shown[name] for name in (*names, "state", "merge_status", "detailed_merge_status", "url")}
    return None


def _build(state: GitlabState, job: Job, pipeline: Pipeline) -> Json:
    return {
        "id": job.id,
        "stage": job.stage,
        "name": job.name,
        "status": job.status,
        "created_at": _stamp(job.created_at),
        "started_at": None,
        "finished_at": None,
        "duration": None,
        "queued_duration": None,
        "when": "on_success",
        "manual": False,
        "allow_failure": False,
        "user": _user(state, pipeline.user, address=True),
        "runner": None,
        "artifacts_file": {"filename": None, "size": None},
    }
