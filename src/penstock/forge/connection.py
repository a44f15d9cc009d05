"""One project at GitLab, as the bot sees it: plain JSON objects, whole lists."""

import os
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from penstock.errors import NotFound, Unavailable, WrongUse
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.forge.client import Client

TOKEN = "PENSTOCK_GITLAB_TOKEN"
WEBHOOK_TOKEN = "PENSTOCK_GITLAB_WEBHOOK_TOKEN"
SIGNING_SECRET = "PENSTOCK_GITLAB_SIGNING_SECRET"
DEVELOPER = 30
LOOKS = 3
"""How often a list is read that somebody changes meanwhile."""
Json = dict[str, Any]


class Connection:
    """The project's REST API. Every method raises `Refused`, `NotFound`, `Conflict` or `Unavailable`.

    Not for several threads at once; use it as a context manager, or close it.
    """

    def __init__(self, client: "Client", project: str) -> None:
        self.client = client
        self.path = project

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    @cached_property
    def me(self) -> Json:
        """The bot's own user: id, username."""
        self.client.auth()
        assert self.client.user is not None, "auth sets it or raises"
        return dict(self.client.user.attributes)

    @cached_property
    def project(self) -> Any:
        """The project as python-gitlab has it."""
        return self.client.projects.get(self.path)

    def merge_request(self, iid: int) -> Any:
        """A merge request, read now; python-gitlab's own object, for what can be done with it."""
        return self.project.mergerequests.get(iid)

    def merge_requests(self, **filters: Any) -> list[Json]:
        """All that the filters choose, oldest first: what comes while they are read stands at the end."""
        return self.all(self.project.mergerequests, order_by="created_at", sort="asc", **filters)

    def access_level(self, member: Mapping[str, Any] | None) -> int:
        """A member's access level as a number; 0 for somebody who is none."""
        return int((member or {}).get("access_level") or 0)

    def member(self, user: int) -> Json | None:
        """A member of the project or of a group above it, with access level and public e-mail; None if it is none."""
        try:
            return dict(self.project.members_all.get(user).attributes)
        except NotFound:
            return None

    @staticmethod
    def all(manager: Any, **filters: Any) -> list[Json]:
        """Every item of a list, each once.

        A list that moves between its pages repeats items, which is seen by their ids, or skips some, which is seen by
        the total that GitLab names: it is then read again.
        """
        found: dict[Any, Json] = {}
        for _ in range(LOOKS):
            pages = manager.list(iterator=True, **filters)
            for one in pages:
                attributes = dict(one.attributes)
                found[attributes.get("id", len(found))] = attributes
            if pages.total is None or len(found) >= int(pages.total):
                break
        return list(found.values())


def open_connection(settings: Settings) -> Connection:
    """A connection to the project of the settings; nothing is asked yet.

    Raises `WrongUse` when a setting or the token is missing, `Unavailable` without the library.
    """
    missing = [name for name in ("gitlab_url", "gitlab_project") if not getattr(settings, name)]
    if missing:
        raise WrongUse(
            f"not set: {', '.join(missing)}",
            where="[tool.penstock]",
            now="set them there, or as PENSTOCK_GITLAB_URL and PENSTOCK_GITLAB_PROJECT",
        )
    token = os.environ.get(TOKEN, "")
    if not token:
        raise WrongUse(f"{TOKEN} is not set", where="the environment", now="give it a project access token")
    try:
        from penstock.forge.client import Client
    except ModuleNotFoundError as error:
        raise Unavailable(f"not installed: {error.name}", now="pip install 'penstock[gitlab]'") from None
    return Connection(Client(settings.gitlab_url.rstrip("/"), token), settings.gitlab_project)
