"""Routes of environments and deployments, which a job's token may use as well."""

from penstock.testing.gitlab.ask import Answer, Ask, not_found, refuse
from penstock.testing.gitlab.entities import deployment, environment
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, MAINTAINER, REPORTER, Deployment, Environment, GitlabState
from penstock.testing.gitlab.webhook import announce_deployment

_ENVIRONMENTS = "/projects/:id/environments"
_DEPLOYMENTS = "/projects/:id/deployments"
_TIERS = ("production", "staging", "testing", "development", "other")
# How GitLab guesses a tier from a name, in this order.
_GUESSES = {
    "development": ("dev", "review", "trunk"),
    "testing": ("test", "tst", "int", "acpt", "accept", "qa", "qc", "control", "quality"),
    "staging": ("stg", "stag", "model", "modl", "pre", "demo", "non"),
    "production": ("prod", "prd", "live"),
}
_STATUSES = ("running", "success", "failed", "canceled")


@route("GET", _ENVIRONMENTS, level=REPORTER, job=True, takes="name search states")
def list_environments(ask: Ask) -> Answer:
    """The environments, by name, state or a part of the name."""
    found = [
        one
        for one in ask.state.environments
        if ask.text("name", one.name) == one.name
        and ask.text("search") in one.name
        and ask.text("states", one.state) == one.state
    ]
    return page(ask, found, lambda one: environment(one, last=None))


@route("POST", _ENVIRONMENTS, level=DEVELOPER, job=True, takes="name external_url tier description")
def create_environment(ask: Ask) -> Answer:
    """A new environment; 400 where the name is taken."""
    name = str(ask.required("name"))
    if any(one.name == name for one in ask.state.environments):
        raise refuse(400, {"name": ["has already been taken"]})
    made = _new_environment(ask.state, name)
    _change(ask, made)
    return body_of(environment(made, last=None), 201)


@route("GET", f"{_ENVIRONMENTS}/:environment_id", level=REPORTER, job=True)
def get_environment(ask: Ask) -> Answer:
    """One environment with its last deployment."""
    made = _environment(ask)
    last = next(
        (one for one in reversed(ask.state.deployments) if one.environment is made and one.status == "success"), None
    )
    return body_of(environment(made, last=deployment(ask.state, last) if last else None))


@route("PUT", f"{_ENVIRONMENTS}/:environment_id", level=DEVELOPER, job=True, takes="external_url tier description")
def update_environment(ask: Ask) -> Answer:
    """Another address, tier or description."""
    made = _environment(ask)
    _change(ask, made)
    return body_of(environment(made, last=None))


@route("POST", f"{_ENVIRONMENTS}/:environment_id/stop", level=DEVELOPER, job=True, takes="force")
def stop_environment(ask: Ask) -> Answer:
    """Stops it."""
    made = _environment(ask)
    made.state, made.updated_at = "stopped", ask.state.now()
    return body_of(environment(made, last=None), 201)


@route("DELETE", f"{_ENVIRONMENTS}/:environment_id", level=MAINTAINER, job=True)
def delete_environment(ask: Ask) -> Answer:
    """Removes a stopped one; 400 for one in use."""
    made = _environment(ask)
    if made.state != "stopped":
        raise refuse(403, "403 Forbidden")
    ask.state.environments.remove(made)
    return Answer(204)


@route(
    "GET", _DEPLOYMENTS, level=REPORTER, job=True, takes="environment status order_by sort updated_after updated_before"
)
def list_deployments(ask: Ask) -> Answer:
    """The deployments, the oldest first unless `sort` says otherwise."""
    after, before = ask.time("updated_after"), ask.time("updated_before")
    found = [
        one
        for one in ask.state.deployments
        if ask.text("environment", one.environment.name) == one.environment.name
        and ask.text("status", one.status) == one.status
        and (after is None or one.updated_at >= after)
        and (before is None or one.updated_at <= before)
    ]
    order = ask.choice("order_by", ("id", "iid", "created_at", "updated_at", "finished_at"), "id")
    if order == "updated_at":
        found.sort(key=lambda one: one.updated_at)
    return page(ask, found[:: -1 if ask.text("sort") == "desc" else 1], lambda one: deployment(ask.state, one))


@route("POST", _DEPLOYMENTS, level=DEVELOPER, job=True, takes="environment sha ref tag status")
def create_deployment(ask: Ask) -> Answer:
    """A deployment of a commit; its environment is made where there is none of that name."""
    state = ask.state
    name, ref = str(ask.required("environment")), str(ask.required("ref"))
    ask.required("tag")
    ask.required("status")
    sha = state.repository.resolve(str(ask.required("sha")))
    if sha is None:
        raise refuse(400, {"sha": ["The commit does not exist"], "ref": ["The branch or tag does not exist"]})
    place = next((one for one in state.environments if one.name == name), None) or _new_environment(state, name)
    place.state = "available"
    now, status = state.now(), ask.choice("status", _STATUSES)
    made = Deployment(
        id=state.next_id(),
        iid=len(state.deployments) + 1,
        ref=ref,
        sha=sha,
        status=status,
        tag=ask.flag("tag"),
        environment=place,
        user=ask.user,
        created_at=now,
        updated_at=now,
    )
    state.deployments.append(made)
    announce_deployment(state, made)
    return body_of(deployment(state, made), 201)


@route("GET", f"{_DEPLOYMENTS}/:deployment_id", level=REPORTER, job=True)
def get_deployment(ask: Ask) -> Answer:
    """One deployment."""
    return body_of(deployment(ask.state, _deployment(ask)))


@route("PUT", f"{_DEPLOYMENTS}/:deployment_id", level=DEVELOPER, job=True, takes="status")
def update_deployment(ask: Ask) -> Answer:
    """Another status; 400 for the one that it has."""
    made = _deployment(ask)
    ask.required("status")
    status = ask.choice("status", _STATUSES)
    if status == made.status or made.status in _STATUSES[1:]:
        raise refuse(400, {"status": ['cannot transition via "' + status + '"']})
    made.status, made.updated_at = status, ask.state.now()
    announce_deployment(ask.state, made)
    return body_of(deployment(ask.state, made))


def _new_environment(state: GitlabState, name: str) -> Environment:
    now = state.now()
    tier = next((tier for tier, words in _GUESSES.items() if any(word in name.lower() for word in words)), "other")
    made = Environment(state.next_id(), name, now, now, tier=tier)
    state.environments.append(made)
    return made


def _change(ask: Ask, made: Environment) -> None:
    made.external_url = ask.text("external_url") or made.external_url
    made.description = ask.text("description") or made.description
    made.tier = ask.choice("tier", _TIERS, made.tier)
    made.updated_at = ask.state.now()


def _environment(ask: Ask) -> Environment:
    for made in ask.state.environments:
        if made.id == ask.part("environment_id"):
            return made
    raise not_found()


def _deployment(ask: Ask) -> Deployment:
    for made in ask.state.deployments:
        if made.id == ask.part("deployment_id"):
            return made
    raise not_found()
