"""Whether the bot has what it needs: one line for each thing, so that a set-up is mended in one go."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from penstock.errors import PenstockError, Refused
from penstock.forge.connection import SIGNING_SECRET, WEBHOOK_TOKEN, Connection, open_connection
from penstock.release.lock import locks_held
from penstock.release.workspace import Workspace
from penstock.settings import Settings

MAINTAINER = 40
ROLES = {0: "no member", 10: "Guest", 15: "Planner", 20: "Reporter", 30: "Developer", 40: "Maintainer", 50: "Owner"}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that the bot needs, and how it is."""

    about: str
    ok: bool
    what: str
    exit_code: int = 1

    def as_document(self) -> dict[str, Any]:
        """The line as a JSON object."""
        return {key: value for key, value in asdict(self).items() if key != "exit_code"}


def readiness(settings: Settings, workspace: Workspace) -> list[Line]:
    """Every line; a connection that fails ends the questions to GitLab, not the rest."""
    lines: list[Line] = []
    try:
        with open_connection(settings) as connection:
            for about, question in _questions(settings, connection):
                lines.append(_line(about, question))
                if not lines[-1].ok and about in {"token", "project"}:
                    break
    except PenstockError as error:
        lines.append(_failed("settings", error))
    lines.append(_secrets())
    lines.append(_line("locks", lambda: _locks(workspace)))
    return lines


def _questions(settings: Settings, connection: Connection) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "token", lambda: f"is @{connection.me['username']}'s"
    yield "project", lambda: str(connection.project.attributes.get("web_url", settings.gitlab_project))
    yield "role", lambda: _role(settings, connection)
    yield "merges", lambda: _merges(settings, connection)
    yield "base branch", lambda: _branch(settings, connection)


def _role(settings: Settings, connection: Connection) -> str:
    level = connection.access_level(connection.member(int(connection.me["id"])))
    needed = MAINTAINER if settings.promotion == "merge-request" else 30
    name = ROLES.get(level, str(level))
    if level < needed:
        raise Refused(f"{name}: too little, {ROLES[needed]} is needed")
    return name


def _merges(settings: Settings, connection: Connection) -> str:
    """A proposal's commit must come to the base branch as it is: what people approved is that very commit."""
    project = connection.project.attributes
    if settings.promotion == "push":
        return "moves are pushed"
    if project.get("squash_option") == "always":
        raise Refused("the project always squashes, which loses a move's trailers", now="allow merges without it")
    if project.get("merge_method", "merge") != "merge":
        raise Refused("the project merges by rebase or fast-forward alone", now="set its merge method to merge commits")
    return "moves are merged as they are"


def _branch(settings: Settings, connection: Connection) -> str:
    branch = connection.project.branches.get(settings.base_branch)
    if not branch.attributes.get("protected"):
        raise Refused(f"{settings.base_branch} is not protected: anyone may push stages to it", now="protect it")
    return f"{settings.base_branch} is protected"


def _secrets() -> Line:
    known = [name for name in (WEBHOOK_TOKEN, SIGNING_SECRET) if os.environ.get(name)]
    what = f"checked by {' and '.join(known)}" if known else "none is set: `agentctl gitlab serve` does not begin"
    return Line("webhook", bool(known), what)


def _locks(workspace: Workspace) -> str:
    held = locks_held(workspace.releases.objects)
    return f"{len(held)} held" if held else "none is held"


def _line(about: str, question: Callable[[], str]) -> Line:
    try:
        return Line(about, True, question())
    except PenstockError as error:
        return _failed(about, error)


def _failed(about: str, error: PenstockError) -> Line:
    now = f"; {error.now}" if error.now else ""
    return Line(about, False, f"{error.what}{now}", error.exit_code)
