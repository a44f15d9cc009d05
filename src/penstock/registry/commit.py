"""A commit as the release path reads it, with the trailers of its message."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_TRAILER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*): ?(.*)$")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `time` is the committer's, RFC 3339 in UTC. `author_email` is in lower case."""

    id: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    time: str
    message: str
    trailers: dict[str, list[str]] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]

    @classmethod
    def of(cls, commit: Any) -> "Commit":
        """Reads a pygit2 commit."""
        moment = datetime.fromtimestamp(commit.commit_time, UTC)
        message = commit.message
        return cls(
            str(commit.id),
            tuple(str(parent) for parent in commit.parent_ids),
            commit.author.name,
            commit.author.email.lower(),
            moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            message,
            read_trailers(message),
        )


def read_trailers(message: str) -> dict[str, list[str]]:
    """The `Key: value` lines of the message's last paragraph, in order; none unless every line of it is a trailer.

    A line that starts with a space goes on with the one before it. The subject alone is no trailer.
    """
    paragraphs = re.split(r"\n[ \t]*\n", message.strip("\n"))
    if len(paragraphs) < 2:
        return {}
    found: list[tuple[str, str]] = []
    for line in paragraphs[-1].split("\n"):
        match = _TRAILER.match(line)
        if match:
            found.append((match[1], match[2].strip()))
        elif found and line[:1] in {" ", "\t"}:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        else:
            return {}
    trailers: dict[str, list[str]] = {}
    for key, value in found:
        trailers.setdefault(key, []).append(value)
    return trailers


def write_trailers(subject: str, body: str, trailers: dict[str, list[str]]) -> str:
    """A message that `read_trailers` reads back; an empty `body` is left out. Line breaks in values become spaces."""
    lines = [f"{key}: {' '.join(value.split())}" for key, values in trailers.items() for value in values]
    return "\n\n".join(part for part in (subject, body.strip(), "\n".join(lines)) if part) + "\n"
