"""What the API shows of the fake's things: one function an entity of GitLab's API."""

from datetime import UTC, datetime

from penstock.testing.gitlab.ask import Json
from penstock.testing.gitlab.bare import CommitFacts, FileDiff
from penstock.testing.gitlab.state import (
    Award,
    CommitStatus,
    Deployment,
    Discussion,
    Environment,
    GitlabState,
    Job,
    MergeRequest,
    Note,
    Pipeline,
    User,
    Version,
)


def stamp(at: datetime | None) -> str | None:
    """An instant as the API writes it, in milliseconds of UTC."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user_basic(state: GitlabState, user: User | None) -> Json | None:
    """A user as others see it beside what it did."""
    if user is None:
        return None
    return {
        "id": user.id,
        "username": user.username,
        "public_email": user.public_email,
        "name": user.name,
        "state": user.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{state.url}/{user.username}",
    }


def user_profile(state: GitlabState, user: User, *, own: bool) -> Json:
    """A user's page: its address is shown to itself alone, its public address to everyone."""
    shown = user_basic(state, user) or {}
    shown |= {"created_at": stamp(state.created_at), "bio": "", "location": "", "bot": user.bot, "job_title": ""}
    if own:
        shown |= {"email": user.email, "commit_email": user.email, "two_factor_enabled": True, "external": False}
    return shown


def commit(state: GitlabState, facts: CommitFacts) -> Json:
    """A commit in a list."""
    return {
        "id": facts.id,
        "short_id": facts.id[:8],
        "created_at": stamp(facts.committed_at),
        "parent_ids": facts.parents,
        "title": facts.title,
        "message": facts.message,
        "author_name": facts.author[0],
        "author_email": facts.author[1],
        "authored_date": stamp(facts.authored_at),
        "committer_name": facts.committer[0],
        "committer_email": facts.committer[1],
        "committed_date": stamp(facts.committed_at),
        "trailers": trailers(facts.message),
        "extended_trailers": {name: [value] for name, value in trailers(facts.message).items()},
        "web_url": f"{state.project_url}/-/commit/{facts.id}",
    }


def trailers(message: str) -> dict[str, str]:
    """The `Name: value` lines of a message's last paragraph."""
    paragraphs = message.strip().split("\n\n")
    lines = paragraphs[-1].splitlines() if len(paragraphs) > 1 else []
    pairs = [line.partition(": ") for line in lines]
    if not lines or any(not mark or " " in name for name, mark, _ in pairs):
        return {}
    return {name: value for name, _, value in pairs}


def diff(change: FileDiff) -> Json:
    """A changed file."""
    return {
        "diff": change.patch,
        "collapsed": False,
        "too_large": False,
        "new_path": change.new_path,
        "old_path": change.old_path,
        "a_mode": f"{change.old_mode:o}",
        "b_mode": f"{change.new_mode:o}",
        "new_file": change.status == "A",
        "renamed_file": change.status == "R",
        "deleted_file": change.status == "D",
        "generated_file": False,
    }


def version(merge_request: MergeRequest, made: Version) -> Json:
    """A diff version."""
    return {
        "id": made.id,
        "head_commit_sha": made.head,
        "base_commit_sha": made.base,
        "start_commit_sha": made.start,
        "created_at": stamp(made.created_at),
        "merge_request_id": merge_request.id,
        "state": "collected",
        "real_size": "1",
        "patch_id_sha": None,
    }


def note(state: GitlabState, merge_request: MergeRequest, made: Note) -> Json:
    """A note; a resolvable one says whether it is resolved."""
    shown = {
        "id": made.id,
        "type": made.type,
        "body": made.body,
        "author": user_basic(state, made.author),
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.updated_at),
        "system": made.system,
        "noteable_id": merge_request.id,
        "noteable_type": "MergeRequest",
        "project_id": state.settings.id,
        "resolvable": made.resolvable,
        "confidential": made.internal,
        "internal": made.internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": merge_request.iid,
        "commands_changes": {},
    }
    if made.position is not None:
        shown["position"] = made.position
    if made.resolvable:
        shown["resolved"] = made.resolved_by is not None
        shown["resolved_by"] = user_basic(state, made.resolved_by)
        shown["resolved_at"] = stamp(made.resolved_at)
    return shown


def discussion(state: GitlabState, merge_request: MergeRequest, thread: Discussion) -> Json:
    """A thread with its notes."""
    return {
        "id": thread.id,
        "individual_note": thread.individual,
        "notes": [note(state, merge_request, made) for made in thread.notes],
    }


def award(state: GitlabState, made: Award, of: Note) -> Json:
    """An emoji under a note."""
    return {
        "id": made.id,
        "name": made.name,
        "user": user_basic(state, made.user),
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.created_at),
        "awardable_id": of.id,
        "awardable_type": "Note",
        "url": None,
    }


def commit_status(state: GitlabState, made: CommitStatus) -> Json:
    """A status of a commit."""
    return {
        "id": made.id,
        "sha": made.sha,
        "ref": made.ref,
        "status": made.status,
        "name": made.name,
        "target_url": made.target_url,
        "description": made.description,
        "created_at": stamp(made.created_at),
        "started_at": stamp(made.started_at),
        "finished_at": stamp(made.finished_at),
        "allow_failure": False,
        "coverage": made.coverage,
        "pipeline_id": made.pipeline_id,
        "author": user_basic(state, made.author),
    }


def pipeline(state: GitlabState, made: Pipeline) -> Json:
    """A pipeline in a list."""
    return {
        "id": made.id,
        "iid": made.iid,
        "project_id": state.settings.id,
        "sha": made.sha,
        "ref": made.ref,
        "status": made.status,
        "source": made.source,
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.updated_at),
        "web_url": f"{state.project_url}/-/pipelines/{made.id}",
    }


def pipeline_page(state: GitlabState, made: Pipeline) -> Json:
    """A pipeline on its own."""
    finished = made.updated_at if made.status in {"success", "failed", "canceled", "skipped"} else None
    return pipeline(state, made) | {
        "before_sha": "0" * 40,
        "tag": False,
        "yaml_errors": None,
        "user": user_basic(state, made.user),
        "started_at": stamp(made.created_at),
        "finished_at": stamp(finished),
        "committed_at": None,
        "duration": None,
        "queued_duration": None,
        "coverage": None,
        "archived": False,
    }


def job(state: GitlabState, made: Job, of: Pipeline) -> Json:
    """A job."""
    return {
        "id": made.id,
        "status": made.status,
        "stage": made.stage,
        "name": made.name,
        "ref": of.ref,
        "tag": False,
        "coverage": None,
        "allow_failure": False,
        "created_at": stamp(made.created_at),
        "pipeline": pipeline(state, of),
        "web_url": f"{state.project_url}/-/jobs/{made.id}",
        "archived": False,
        "tag_list": [],
    }


def environment_basic(made: Environment) -> Json:
    """An environment beside a deployment."""
    return {
        "id": made.id,
        "name": made.name,
        "slug": made.name.lower().replace("/", "-"),
        "external_url": made.external_url,
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.updated_at),
    }


def environment(made: Environment, *, last: Json | None) -> Json:
    """An environment; its last deployment is shown on its own page only."""
    shown = environment_basic(made) | {
        "tier": made.tier,
        "state": made.state,
        "description": made.description,
        "auto_stop_at": None,
        "auto_stop_setting": "always",
    }
    return shown if last is None else shown | {"last_deployment": last}


def deployment(state: GitlabState, made: Deployment) -> Json:
    """A deployment; `deployable` is null, since the API made it and no job."""
    return {
        "id": made.id,
        "iid": made.iid,
        "ref": made.ref,
        "sha": made.sha,
        "created_at": stamp(made.created_at),
        "updated_at": stamp(made.updated_at),
        "user": user_basic(state, made.user),
        "environment": environment_basic(made.environment),
        "deployable": None,
        "status": made.status,
    }
