"""Routes of commit statuses: one row a name and ref while it runs, a new row after it has ended."""

from penstock.testing.gitlab.access import may_merge, may_push, protection_of
from penstock.testing.gitlab.ask import Answer, Ask, forbidden, refuse
from penstock.testing.gitlab.entities import commit_status
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, READ, CommitStatus, GitlabState, Pipeline, User
from penstock.testing.gitlab.webhook import announce_pipeline

_STATES = ("pending", "running", "success", "failed", "canceled", "skipped")
_ACTIVE = ("pending", "running")
_EVENTS = {"pending": "enqueue", "running": "run"}


@route(
    "GET",
    "/projects/:id/repository/commits/:sha/statuses",
    level=READ,
    takes="all ref name stage pipeline_id order_by sort",
)
def list_statuses(ask: Ask) -> Answer:
    """The statuses of a commit, of every ref that it was posted for; the newest of a name only, unless `all`."""
    sha = _commit(ask)
    found = [one for one in ask.state.statuses if one.sha == sha and (ask.flag("all") or not one.retried)]
    for name, value in (("ref", "ref"), ("name", "name"), ("stage", "stage")):
        asked = ask.text(name)
        found = [one for one in found if not asked or getattr(one, value) == asked]
    if "pipeline_id" in ask.parameters:
        found = [one for one in found if one.pipeline_id == ask.number("pipeline_id", 0)]
    found.sort(key=lambda one: one.id, reverse=ask.text("sort") == "desc")
    return page(ask, found, lambda one: commit_status(ask.state, one))


@route(
    "POST",
    "/projects/:id/statuses/:sha",
    level=DEVELOPER,
    takes="state name context ref target_url description coverage pipeline_id",
)
def post_status(ask: Ask) -> Answer:
    """Posts a status; 400 where a running one is to run again, 404 for a commit that no branch has."""
    state, name = ask.state, ask.text("name") or ask.text("context") or "default"
    ask.required("state")
    wanted = ask.choice("state", _STATES)
    sha = _commit(ask)
    ref = ask.text("ref") or _known_ref(state, sha)
    if ref is None:
        raise refuse(404, "404 References for commit Not Found")
    if protection_of(state, ref) is not None and not (
        may_push(state, ask.user, ref) or may_merge(state, ask.user, ref)
    ):
        raise forbidden()  # pipelines of a protected branch are for those who may change it
    pipeline = _pipeline(ask, sha, ref)
    status = _current(state, (pipeline.id, ref, name), ask.user)
    if status is None:
        for other in state.statuses:
            if (other.sha, other.ref, other.name) == (sha, ref, name):
                other.retried = True
        status = CommitStatus(state.next_id(), sha, ref, name, "created", ask.user, pipeline.id, state.now())
        state.statuses.append(status)
    _move(state, status, wanted)
    status.target_url = ask.text("target_url") or status.target_url
    status.description = ask.text("description") or status.description
    if "coverage" in ask.parameters:
        status.coverage = ask.fraction("coverage")
    settle_pipeline(state, pipeline)
    return body_of(commit_status(state, status), 201)


def settle_pipeline(state: GitlabState, pipeline: Pipeline) -> None:
    """Gives a pipeline the status that its statuses add up to; a change is told to the webhooks."""
    words = [one.status for one in state.statuses if one.pipeline_id == pipeline.id and not one.retried]
    words += [job.status for job in pipeline.jobs] or ([pipeline.status] if pipeline.source != "external" else [])
    order = ("running", "pending", "failed", "canceled", "skipped", "success")
    now = next((word for word in order if word in words), pipeline.status)
    if now != pipeline.status:
        pipeline.status, pipeline.updated_at = now, state.now()
        announce_pipeline(state, pipeline)


def _commit(ask: Ask) -> str:
    sha = ask.state.repository.resolve(ask.parts["sha"])
    if sha is None:
        raise refuse(404, "404 Commit Not Found")
    return sha


def _pipeline(ask: Ask, sha: str, ref: str) -> Pipeline:
    state, asked = ask.state, ask.text("pipeline_id")
    for made in reversed(state.pipelines):
        if made.sha == sha and made.ref == ref and (not asked or str(made.id) == asked):
            return made
    if asked:
        raise refuse(404, "404 Pipeline for pipeline_id, sha and ref Not Found")
    now, number = state.now(), state.next_id()
    made = Pipeline(number, len(state.pipelines) + 1, sha, ref, "created", "external", ask.user, now, now)
    state.pipelines.append(made)
    return made


def _known_ref(state: GitlabState, sha: str) -> str | None:
    for made in reversed(state.pipelines):
        if made.sha == sha:
            return made.ref
    return next((name for name, head in state.heads.items() if state.repository.is_ancestor(sha, head)), None)


def _current(state: GitlabState, where: tuple[int, str, str], user: User) -> CommitStatus | None:
    """The row that is still active: GitLab looks for one of the same user."""
    for status in reversed(state.statuses):
        if (status.pipeline_id, status.ref, status.name) == where and status.author is user:
            return status if status.status in _ACTIVE else None
    return None


def _move(state: GitlabState, status: CommitStatus, wanted: str) -> None:
    event = _EVENTS.get(wanted)
    same = status.status == wanted
    back = wanted == "pending" and status.status == "running"
    if event and (same or back):
        words = f"Cannot transition status via :{event} from :{status.status}"
        raise refuse(400, f'{words} (Reason(s): Status cannot transition via "{event}")')
    if wanted == "running" or (wanted not in _ACTIVE and status.started_at is None):
        status.started_at = state.now()
    if wanted not in _ACTIVE:
        status.finished_at = state.now()
    status.status = wanted
