"""Routes of merge requests: create, read, change, merge."""

from penstock.testing.gitlab.access import may_merge, may_push
from penstock.testing.gitlab.ask import Answer, Ask, Json, Refusal, forbidden, refuse, unauthorized
from penstock.testing.gitlab.entities import commit, diff, pipeline, version
from penstock.testing.gitlab.merge_request_entity import merge_request_basic, merge_request_page
from penstock.testing.gitlab.merge_request_filter import FILTERS, chosen
from penstock.testing.gitlab.mergeability import branch_reason, branches_exist, squashes, state_reason
from penstock.testing.gitlab.merging import merge, rebase
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.push import add_version
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, MAINTAINER, READ, GitlabState, MergeRequest, User
from penstock.testing.gitlab.thread import system_note
from penstock.testing.gitlab.webhook import announce_merge_request, field_changes, state_change

_ALL = "/projects/:id/merge_requests"
_ONE = f"{_ALL}/:merge_request_iid"
_FIELDS = "title target_branch description labels squash remove_source_branch assignee_id assignee_ids reviewer_ids"
_MERGE_TAKES = (
    "sha squash merge_commit_message squash_commit_message should_remove_source_branch "
    "merge_when_pipeline_succeeds auto_merge"
)


@route("GET", _ALL, level=READ, takes=FILTERS)
def list_merge_requests(ask: Ask) -> Answer:
    """The merge requests that the filters let through."""
    return page(ask, chosen(ask), lambda made: merge_request_basic(ask.state, made))


@route("POST", _ALL, level=DEVELOPER, takes=f"source_branch {_FIELDS}")
def create_merge_request(ask: Ask) -> Answer:
    """Opens one; 409 where the branch has an open one already."""
    title, source, target = (str(ask.required(name)) for name in ("title", "source_branch", "target_branch"))
    made = open_merge_request(ask.state, ask.user, (source, target), title=title, description=ask.text("description"))
    made.labels = ask.words("labels")
    made.squash = ask.flag("squash", ask.state.settings.squash_option in {"always", "default_on"})
    made.remove_source_branch = ask.flag("remove_source_branch", ask.state.settings.remove_source_branch)
    made.assignees = _people(ask, "assignee_ids") or _people(ask, "assignee_id")
    made.reviewers = _people(ask, "reviewer_ids")
    announce_merge_request(ask.state, made, ask.user, "open")
    return body_of(merge_request_page(ask.state, made, ask.user), 201)


@route("GET", _ONE, level=READ, takes="include_diverged_commits_count")
def get_merge_request(ask: Ask) -> Answer:
    """One merge request."""
    state, made = ask.state, ask.state.merge_request(ask.part("merge_request_iid"))
    shown = merge_request_page(state, made, ask.token.user if ask.token else None)
    if ask.flag("include_diverged_commits_count") and branches_exist(state, made):
        target = state.heads[made.target_branch]
        shown["diverged_commits_count"] = len(state.repository.commits(target, since=made.head))
    return body_of(shown)


@route("PUT", _ONE, level=READ, takes=f"state_event add_labels remove_labels {_FIELDS}")
def update_merge_request(ask: Ask) -> Answer:
    """Changes one: its author and developers may; closing and reopening go by `state_event`."""
    state, made = ask.state, ask.state.merge_request(ask.part("merge_request_iid"))
    if ask.user is not made.author and state.level_of(ask.user) < DEVELOPER:
        raise forbidden()
    if not ask.parameters:
        raise Refusal(
            400, {"error": "title, target_branch, state_event, labels are missing, at least one must be given"}
        )
    event = ask.choice("state_event", ("close", "reopen"))
    if event == "reopen" and made.state == "closed":
        _require_free(state, made.source_branch, made.target_branch)
    before = _fields(made)
    _change_fields(ask, made)
    made.updated_at = state.now()
    if event == "close" and made.state == "opened":
        close(state, made, ask.user)
    elif event == "reopen" and made.state == "closed":
        made.state, made.closed_by, made.closed_at = "opened", None, None
        system_note(state, made, ask.user, "reopened")
        if state.heads.get(made.source_branch) != made.head:
            add_version(state, made)
        announce_merge_request(state, made, ask.user, "reopen", changes=state_change("closed", "opened"))
    elif not event:
        announce_merge_request(state, made, ask.user, "update", changes=field_changes(state, before, _fields(made)))
    return body_of(merge_request_page(state, made, ask.user))


@route("DELETE", _ONE, level=MAINTAINER)
def delete_merge_request(ask: Ask) -> Answer:
    """Removes one for good."""
    made = ask.state.merge_request(ask.part("merge_request_iid"))
    del ask.state.merge_requests[made.iid]
    return Answer(204)


@route("PUT", f"{_ONE}/merge", level=READ, takes=_MERGE_TAKES)
def merge_merge_request(ask: Ask) -> Answer:
    """Merges: 401 who may not, 405 what is not in a state to be, 422 what conflicts, 409 a head that moved."""
    state, made = ask.state, ask.state.merge_request(ask.part("merge_request_iid"))
    if not may_merge(state, ask.user, made.target_branch):
        raise unauthorized()
    if ask.flag("merge_when_pipeline_succeeds") or ask.flag("auto_merge"):
        raise refuse(501, "the fake merges now or not at all")
    if state_reason(state, made) or made.reads_to_check > 0:
        raise refuse(405, "405 Method Not Allowed")
    if branch_reason(state, made):
        raise refuse(422, "Branch cannot be merged")
    require_head(ask, made)
    asked = ask.flag("squash") if "squash" in ask.parameters else None
    merge(
        state,
        made,
        ask.user,
        messages=(ask.text("merge_commit_message"), ask.text("squash_commit_message")),
        squash=squashes(state, made, asked),
        remove=ask.flag("should_remove_source_branch", made.remove_source_branch),
    )
    return body_of(merge_request_page(state, made, ask.user))


@route("PUT", f"{_ONE}/rebase", level=DEVELOPER)
def rebase_merge_request(ask: Ask) -> Answer:
    """Rebases the source branch at once, where GitLab does it a moment later."""
    made = ask.state.merge_request(ask.part("merge_request_iid"))
    if made.state != "opened" or not branches_exist(ask.state, made):
        raise forbidden("Source branch does not exist")
    if not may_push(ask.state, ask.user, made.source_branch):
        raise forbidden("Cannot push to source branch")
    rebase(ask.state, made, ask.user)
    return body_of({"rebase_in_progress": True}, 202)


@route("GET", f"{_ONE}/commits", level=READ)
def list_commits(ask: Ask) -> Answer:
    """The commits that a merge would bring, newest first."""
    newest = ask.state.merge_request(ask.part("merge_request_iid")).versions[-1]
    facts = ask.state.repository.commits(newest.head, since=newest.base)
    return page(ask, facts, lambda one: commit(ask.state, one))


@route("GET", f"{_ONE}/diffs", level=READ)
def list_diffs(ask: Ask) -> Answer:
    """The files that it changes."""
    newest = ask.state.merge_request(ask.part("merge_request_iid")).versions[-1]
    return page(ask, ask.state.repository.diff(newest.base, newest.head), diff)


@route("GET", f"{_ONE}/changes", level=READ)
def get_changes(ask: Ask) -> Answer:
    """The merge request with the files that it changes."""
    made = ask.state.merge_request(ask.part("merge_request_iid"))
    newest = made.versions[-1]
    changes = [diff(change) for change in ask.state.repository.diff(newest.base, newest.head)]
    shown = merge_request_page(ask.state, made, ask.token.user if ask.token else None)
    return body_of(shown | {"changes": changes, "overflow": False})


@route("GET", f"{_ONE}/versions", level=READ)
def list_versions(ask: Ask) -> Answer:
    """The heads that it had, newest first."""
    made = ask.state.merge_request(ask.part("merge_request_iid"))
    return page(ask, made.versions[::-1], lambda one: version(made, one))


@route("GET", f"{_ONE}/pipelines", level=READ)
def list_pipelines(ask: Ask) -> Answer:
    """The pipelines of its heads, newest first."""
    made = ask.state.merge_request(ask.part("merge_request_iid"))
    heads = {one.head for one in made.versions}
    found = [one for one in reversed(ask.state.pipelines) if one.sha in heads]
    return page(ask, found, lambda one: pipeline(ask.state, one))


def open_merge_request(
    state: GitlabState, author: User, branches: tuple[str, str], *, title: str, description: str = ""
) -> MergeRequest:
    """A new merge request of (source, target); raises `Refusal` as GitLab does for branches that do not do."""
    source, target = branches
    if source == target:
        raise refuse(422, ["You can't use same project/branch for source and target"])
    for name, branch in (("source_branch", source), ("target_branch", target)):
        if branch not in state.heads:
            raise refuse(400, {name: ["does not exist"]})
    _require_free(state, source, target)
    now, iid = state.now(), next(state.iids)
    made = MergeRequest(state.next_id(), iid, title, description, source, target, author, now, now)
    state.merge_requests[iid] = made
    add_version(state, made)
    return made


def close(state: GitlabState, made: MergeRequest, user: User) -> None:
    """Closes an open one."""
    made.state, made.closed_by, made.closed_at = "closed", user, state.now()
    system_note(state, made, user, "closed")
    announce_merge_request(state, made, user, "close", changes=state_change("opened", "closed"))


def require_head(ask: Ask, made: MergeRequest) -> None:
    """Raises `Refusal` (409) when `sha` is given and is not the head."""
    sha = ask.text("sha")
    if sha and sha != made.head:
        raise refuse(409, f"SHA does not match HEAD of source branch: {made.head}")


def _require_free(state: GitlabState, source: str, target: str) -> None:
    for other in state.merge_requests.values():
        if other.state == "opened" and (other.source_branch, other.target_branch) == (source, target):
            raise refuse(409, [f"Another open merge request already exists for this source branch: !{other.iid}"])


def _fields(made: MergeRequest) -> Json:
    return {
        "title": made.title,
        "description": made.description,
        "draft": made.draft,
        "labels": list(made.labels),
        "target_branch": made.target_branch,
    }


def _change_fields(ask: Ask, made: MergeRequest) -> None:
    given = ask.parameters
    if "title" in given:
        made.title = ask.text("title")
    if "description" in given:
        made.description = ask.text("description")
    if "labels" in given:
        made.labels = ask.words("labels")
    kept = [name for name in made.labels if name not in ask.words("remove_labels")]
    made.labels = list(dict.fromkeys([*kept, *ask.words("add_labels")]))
    if "squash" in given:
        made.squash = ask.flag("squash")
    if "remove_source_branch" in given:
        made.remove_source_branch = ask.flag("remove_source_branch")
    if "assignee_ids" in given or "assignee_id" in given:
        made.assignees = _people(ask, "assignee_ids") or _people(ask, "assignee_id")
    if "reviewer_ids" in given:
        made.reviewers = _people(ask, "reviewer_ids")
    target = ask.text("target_branch", made.target_branch)
    if target != made.target_branch:
        if target not in ask.state.heads:
            raise refuse(400, {"target_branch": ["does not exist"]})
        made.target_branch = target
        add_version(ask.state, made)


def _people(ask: Ask, name: str) -> list[User]:
    users = ask.state.users
    return [users[int(word)] for word in ask.words(name) if word.isdigit() and int(word) in users]
