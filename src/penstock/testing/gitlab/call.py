"""The record of one request and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.testing.gitlab.ask import Request


@dataclass(frozen=True)
class Call:
    """What was asked and what was answered; `fault` names what the fake was told to do wrong, "" for nothing.

    `status` is 0 where the connection was dropped without an answer. `username` is who asked, "" for nobody.
    """

    request: Request
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    fault: str = ""
    username: str = ""

    @property
    def line(self) -> str:
        """Method and path, as `PUT /projects/15/merge_requests/1/merge`."""
        return f"{self.request.method} {self.request.path}"
