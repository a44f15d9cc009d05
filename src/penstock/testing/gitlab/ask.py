"""What a client asks of the fake, what it is answered, and the ways in which GitLab says no."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.testing.gitlab.state import GitlabState, Token, User

Json = dict[str, Any]
_YES = {"true", "True", "1"}


@dataclass(frozen=True)
class Request:
    """One HTTP request: the path is still encoded and without `/api/v4`; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""

    @property
    def body(self) -> Any:
        """The JSON of the body; None when there is none. Raises `Refusal` (400) when it is no JSON."""
        if not self.data:
            return None
        try:
            return json.loads(self.data)
        except ValueError:
            raise Refusal(400, {"error": "Problems parsing JSON"}) from None


@dataclass(frozen=True)
class Answer:
    """A status, a body that becomes JSON (None: no body), and headers beside the usual ones."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An answer that is an error; `body` is the JSON object that GitLab would send."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.answer = Answer(status, body, headers or {})


def refuse(status: int, message: Any) -> Refusal:
    """A refusal with GitLab's `message`."""
    return Refusal(status, {"message": message})


def not_found(what: str = "") -> Refusal:
    """404, naming the kind of thing that is not there."""
    return refuse(404, f"404 {what} Not Found" if what else "404 Not found")


def forbidden(reason: str = "") -> Refusal:
    """403: the token is known, its user may not."""
    return refuse(403, f"403 Forbidden - {reason}" if reason else "403 Forbidden")


def unauthorized() -> Refusal:
    """401, which GitLab also answers to a known user who may not merge or approve."""
    return refuse(401, "401 Unauthorized")


@dataclass
class Ask:
    """A request that found its route: who asks, the parts of the path, and the parameters of query and body as one.

    `shift` is by how many items a list has moved since its first page was read (negative: items went away).
    """

    state: "GitlabState"
    request: Request
    parts: Mapping[str, str]
    token: "Token | None"
    parameters: Json = field(default_factory=dict)
    shift: int = 0

    @property
    def user(self) -> "User":
        """Who asks; raises `Refusal` (401) for nobody."""
        if self.token is None:
            raise unauthorized()
        return self.token.user

    def part(self, name: str) -> int:
        """A number in the path; raises `Refusal` (400) for anything else."""
        value = self.parts[name]
        if not value.isdigit():
            raise Refusal(400, {"error": f"{name} is invalid"})
        return int(value)

    def required(self, name: str) -> Any:
        """A parameter; raises `Refusal` (400) as Grape words it when it is missing."""
        value = self.parameters.get(name)
        if value is None:
            raise Refusal(400, {"error": f"{name} is missing"})
        return value

    def text(self, name: str, default: str = "") -> str:
        """A parameter as text."""
        value = self.parameters.get(name)
        return default if value is None else str(value)

    def choice(self, name: str, allowed: tuple[str, ...], default: str = "") -> str:
        """A parameter that is one of a few words; raises `Refusal` (400) for another."""
        value = self.text(name, default)
        if value != default and value not in allowed:
            raise Refusal(400, {"error": f"{name} does not have a valid value"})
        return value

    def number(self, name: str, default: int) -> int:
        """A parameter as a number; raises `Refusal` (400) for text."""
        value = self.parameters.get(name, default)
        try:
            return int(value)
        except (TypeError, ValueError):
            raise Refusal(400, {"error": f"{name} is invalid"}) from None

    def fraction(self, name: str) -> float:
        """A parameter as a number with a fraction; raises `Refusal` (400) for text."""
        try:
            return float(self.parameters[name])
        except (TypeError, ValueError):
            raise Refusal(400, {"error": f"{name} is invalid"}) from None

    def flag(self, name: str, default: bool = False) -> bool:
        """A parameter as yes or no."""
        value = self.parameters.get(name)
        return default if value is None else str(value) in _YES

    def words(self, name: str) -> list[str]:
        """A list of words, given as JSON list or divided by commas."""
        value = self.parameters.get(name)
        if value is None:
            return []
        given = value if isinstance(value, list) else str(value).split(",")
        return [str(word).strip() for word in given if str(word).strip()]

    def time(self, name: str) -> datetime | None:
        """A parameter as an instant, UTC where it names no zone; raises `Refusal` (400) for what is none."""
        value = self.parameters.get(name)
        if value is None:
            return None
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            raise Refusal(400, {"error": f"{name} is invalid"}) from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)
