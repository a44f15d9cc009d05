"""Routes of the project itself, its people and its protected branches."""

from penstock.testing.gitlab.ask import Answer, Ask, Json, not_found
from penstock.testing.gitlab.entities import stamp, user_basic, user_profile
from penstock.testing.gitlab.paging import page
from penstock.testing.gitlab.routes import body_of, route
from penstock.testing.gitlab.state import DEVELOPER, MAINTAINER, GitlabState, Protection, User

_LEVELS = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers", 50: "Owners"}


@route("GET", "/version")
def get_version(ask: Ask) -> Answer:
    """Which GitLab it claims to be."""
    ask.user  # noqa: B018  nobody gets 401
    return body_of({"version": "18.6.0", "revision": "0000000", "kas": {"enabled": False}, "enterprise": False})


@route("GET", "/user")
def get_own_user(ask: Ask) -> Answer:
    """Who the token stands for."""
    return body_of(user_profile(ask.state, ask.user, own=True))


@route("GET", "/users", takes="username")
def list_users(ask: Ask) -> Answer:
    """The users, by name where one is asked for."""
    ask.user  # noqa: B018  nobody gets 401
    found = [one for one in ask.state.users.values() if ask.text("username", one.username) == one.username]
    return page(ask, found, lambda one: user_basic(ask.state, one))


@route("GET", "/users/:user_id")
def get_user(ask: Ask) -> Answer:
    """A user as others see it: its public address only."""
    ask.user  # noqa: B018  nobody gets 401
    found = ask.state.users.get(ask.part("user_id"))
    if found is None:
        raise not_found("User")
    return body_of(user_profile(ask.state, found, own=False))


@route("GET", "/projects/:id")
def get_project(ask: Ask) -> Answer:
    """The project, with its settings and what the user may do in it."""
    state, settings = ask.state, ask.state.settings
    namespace, _, name = settings.path.rpartition("/")
    level = state.level_of(ask.token.user) if ask.token else 0
    return body_of(
        {
            "id": settings.id,
            "description": "",
            "name": name,
            "name_with_namespace": f"{namespace} / {name}",
            "path": name,
            "path_with_namespace": settings.path,
            "created_at": stamp(state.created_at),
            "default_branch": settings.default_branch,
            "tag_list": [],
            "topics": [],
            "ssh_url_to_repo": f"git@example.com:{settings.path}.git",
            "http_url_to_repo": f"{state.project_url}.git",
            "web_url": state.project_url,
            "avatar_url": None,
            "star_count": 0,
            "last_activity_at": stamp(state.now()),
            "visibility": settings.visibility,
            "empty_repo": not state.heads,
            "archived": False,
            "merge_requests_enabled": True,
            "jobs_enabled": True,
            "only_allow_merge_if_pipeline_succeeds": settings.needs_pipeline,
            "only_allow_merge_if_all_discussions_are_resolved": settings.needs_resolved_discussions,
            "remove_source_branch_after_merge": settings.remove_source_branch,
            "merge_method": settings.merge_method,
            "squash_option": settings.squash_option,
            "permissions": {
                "project_access": {"access_level": level, "notification_level": 3} if level else None,
                "group_access": None,
            },
        }
    )


@route("GET", "/projects/:id/members/all")
def list_members(ask: Ask) -> Answer:
    """Everyone with access, inherited or direct."""
    found = [ask.state.users[number] for number in ask.state.members]
    return page(ask, found, lambda one: _member(ask.state, one))


@route("GET", "/projects/:id/members/all/:user_id")
def get_member(ask: Ask) -> Answer:
    """One member with the access level; 404 for who is none."""
    if ask.part("user_id") not in ask.state.members:
        raise not_found()
    return body_of(_member(ask.state, ask.state.users[ask.part("user_id")]))


@route("GET", "/projects/:id/protected_branches", level=DEVELOPER)
def list_protected_branches(ask: Ask) -> Answer:
    """What is protected, and from whom."""
    found = list(ask.state.settings.protected.items())
    return page(ask, found, lambda one: _protection(ask.state, *one))


@route("GET", "/projects/:id/protected_branches/:name", level=DEVELOPER)
def get_protected_branch(ask: Ask) -> Answer:
    """One protected branch or pattern."""
    name = ask.parts["name"]
    if name not in ask.state.settings.protected:
        raise not_found()
    return body_of(_protection(ask.state, name, ask.state.settings.protected[name]))


def _member(state: GitlabState, user: User) -> Json:
    return (user_basic(state, user) or {}) | {
        "access_level": state.members[user.id],
        "created_at": stamp(state.created_at),
        "expires_at": None,
        "membership_state": "active",
    }


def _protection(state: GitlabState, name: str, made: Protection) -> Json:
    return {
        "id": 1 + list(state.settings.protected).index(name),
        "name": name,
        "push_access_levels": _grants(state, made.push_level, made.push_users),
        "merge_access_levels": _grants(state, made.merge_level, made.merge_users),
        "allow_force_push": made.allow_force_push,
        "code_owner_approval_required": False,
        "inherited": False,
    }


def _grants(state: GitlabState, level: int, users: set[str]) -> list[Json]:
    shown: list[Json] = [
        {"id": level, "access_level": level, "access_level_description": _LEVELS.get(level, str(level))}
    ]
    for username in sorted(users):
        user = state.user_named(username)
        shown.append(
            {
                "id": 1_000 + user.id,
                "access_level": MAINTAINER,
                "access_level_description": user.name,
                "user_id": user.id,
            }
        )
    return shown
