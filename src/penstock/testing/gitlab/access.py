"""Who asks: tokens in headers, and what their users may do in the project."""

import base64

from penstock.testing.gitlab.ask import Ask, Refusal, Request, forbidden, not_found, unauthorized
from penstock.testing.gitlab.routes import Entry
from penstock.testing.gitlab.state import READ, REPORTER, GitlabState, Protection, Token, User


def token_of(state: GitlabState, request: Request) -> Token | None:
    """The token of an API request, None where it has none; raises `Refusal` (401) for one that is not valid."""
    headers = request.headers
    given = headers.get("private-token") or headers.get("job-token")
    if given is None and headers.get("authorization", "").startswith("Bearer "):
        given = headers["authorization"].removeprefix("Bearer ")
    return None if given is None else valid_token(state, given)


def valid_token(state: GitlabState, given: str) -> Token:
    """The token of that value; raises `Refusal` (401) with GitLab's words for an unknown, revoked or expired one."""
    token = state.tokens.get(given)
    if token is None:
        raise unauthorized()
    if token.revoked:
        raise _invalid("Token was revoked. You have to re-authorize from the user.")
    if token.expires_at is not None and token.expires_at <= state.now():
        raise _invalid("Token is expired. You can either do re-authorization or token refresh.")
    if token.user.state != "active":
        raise forbidden("Your account has been blocked.")
    return token


def basic_token(state: GitlabState, request: Request) -> Token | None:
    """The token in a Git request's basic authentication: its password, with any user name."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    password = base64.b64decode(value).decode("utf-8", "replace").partition(":")[2]
    try:
        return valid_token(state, password)
    except Refusal:
        return None


def require_access(ask: Ask, entry: Entry) -> None:
    """Raises `Refusal` unless who asks may call the route: 404 where the project itself is not to be seen."""
    state, token = ask.state, ask.token
    if token is not None and token.job and not entry.job:
        ask.token = token = None  # a job's token counts as nobody on the routes that do not take one
    if "id" in ask.parts:
        _require_project(ask)
    if token is None:
        if entry.method != "GET" or not ask.parts:
            raise unauthorized()
        return
    _require_scope(token, entry.method)
    level = state.level_of(token.user)
    needed = entry.level
    if entry.level == READ:
        needed = REPORTER if state.settings.visibility == "private" else 0
    if level < needed:
        raise forbidden()


def protection_of(state: GitlabState, branch: str) -> Protection | None:
    """What protects a branch, by name or pattern; None for nothing."""
    for pattern, protection in state.settings.protected.items():
        if pattern == branch or ("*" in pattern and _fits(pattern, branch)):
            return protection
    return None


def may_push(state: GitlabState, user: User, branch: str) -> bool:
    """Whether the user may push to the branch."""
    protection, level = protection_of(state, branch), state.level_of(user)
    if protection is None:
        return level >= 30
    return user.username in protection.push_users or level >= protection.push_level > 0


def may_merge(state: GitlabState, user: User, branch: str) -> bool:
    """Whether the user may merge into the branch."""
    protection, level = protection_of(state, branch), state.level_of(user)
    if protection is None:
        return level >= 30
    if user.username in protection.merge_users or level >= protection.merge_level > 0:
        return True
    return may_push(state, user, branch)


def _fits(pattern: str, branch: str) -> bool:
    head, *rest = pattern.split("*")
    if not branch.startswith(head):
        return False
    place = len(head)
    for piece in rest[:-1]:
        found = branch.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return branch.endswith(rest[-1]) and len(branch) - len(rest[-1]) >= place


def _require_project(ask: Ask) -> None:
    settings = ask.state.settings
    seen = settings.visibility == "public" or (
        ask.token is not None and (settings.visibility == "internal" or ask.state.level_of(ask.token.user) > 0)
    )
    if ask.parts["id"] not in {str(settings.id), settings.path} or not seen:
        if ask.token is None and ask.request.method != "GET":
            raise unauthorized()
        raise not_found("Project")


def _require_scope(token: Token, method: str) -> None:
    reading = method in {"GET", "HEAD"}
    if token.job or "api" in token.scopes or (reading and "read_api" in token.scopes):
        return
    words = "The request requires higher privileges than provided by the access token."
    scope = "api read_api" if reading else "api"
    raise Refusal(403, {"error": "insufficient_scope", "error_description": words, "scope": scope})


def _invalid(words: str) -> Refusal:
    return Refusal(401, {"error": "invalid_token", "error_description": words})
