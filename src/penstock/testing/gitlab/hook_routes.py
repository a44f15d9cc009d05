"""Routes of the project's webhooks."""

from penstock.testing.gitlab.ask import Answer, Ask, Json, not_found, refuse
from penstock.testing.gitlab.entities import stamp
from penstock.testing.gitlab.outbox import SWITCHES, Hook
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import MAINTAINER, GitlabState

_ALL = "/projects/:id/hooks"
_ONE = f"{_ALL}/:hook_id"
_TAKES = " ".join(("url", "token", "signing_token", *SWITCHES.values()))


@route("GET", _ALL, level=MAINTAINER)
def list_hooks(ask: Ask) -> Answer:
    """The webhooks; their secrets are never shown."""
    return page(ask, ask.state.outbox.hooks, lambda one: _shown(ask.state, one))


@route("POST", _ALL, level=MAINTAINER, takes=_TAKES)
def create_hook(ask: Ask) -> Answer:
    """A new webhook; pushes are on unless it says otherwise."""
    made = Hook(ask.state.next_id(), str(ask.required("url")), ask.state.now())
    _change(ask, made)
    ask.state.outbox.hooks.append(made)
    return body_of(_shown(ask.state, made), 201)


@route("GET", _ONE, level=MAINTAINER)
def get_hook(ask: Ask) -> Answer:
    """One webhook."""
    return body_of(_shown(ask.state, _hook(ask)))


@route("PUT", _ONE, level=MAINTAINER, takes=_TAKES)
def update_hook(ask: Ask) -> Answer:
    """Another address, secret or choice of events."""
    made = _hook(ask)
    _change(ask, made)
    return body_of(_shown(ask.state, made))


@route("DELETE", _ONE, level=MAINTAINER)
def delete_hook(ask: Ask) -> Answer:
    """Removes a webhook."""
    ask.state.outbox.hooks.remove(_hook(ask))
    return Answer(204)


def _change(ask: Ask, made: Hook) -> None:
    made.url = ask.text("url", made.url)
    if not made.url.startswith(("http://", "https://")):
        raise refuse(422, "Invalid url given")
    made.token = ask.text("token", made.token)
    made.signing_token = ask.text("signing_token", made.signing_token)
    for switch in SWITCHES.values():
        if switch in ask.parameters:
            made.switches[switch] = ask.flag(switch)


def _hook(ask: Ask) -> Hook:
    for made in ask.state.outbox.hooks:
        if made.id == ask.part("hook_id"):
            return made
    raise not_found()


def _shown(state: GitlabState, made: Hook) -> Json:
    return {
        "id": made.id,
        "url": made.url,
        "created_at": stamp(made.created_at),
        "enable_ssl_verification": True,
        "alert_status": "executable",
        "project_id": state.settings.id,
        "token_present": bool(made.token),
        "signing_token_present": bool(made.signing_token),
    } | {switch: made.wants(kind) for kind, switch in SWITCHES.items()}
