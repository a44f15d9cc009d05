"""What goes wrong on demand: answers that are errors, lost answers, silence, lists that move, and work in between."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from penstock.testing.gitlab.ask import Answer, Request

FaultKind = Literal["answer", "drop", "lost-answer", "stall", "shift", "before"]


@dataclass
class Fault:
    """A fault of the next `times` calls whose method is `method` and whose path `path` is found in.

    answer: `answer` instead of the work. drop: the connection closes, nothing is done. lost-answer: the work is done,
    then the connection closes. stall: no answer for `seconds`, then the connection closes. shift: later pages of a
    list have moved by `shift` items. before: `action` runs first, then the call is answered as always.
    """

    kind: FaultKind
    method: str
    path: str
    times: int = 1
    answer: Answer | None = None
    seconds: float = 0.0
    shift: int = 0
    action: Callable[[], object] | None = None

    def matches(self, request: Request) -> bool:
        """Whether it is for this call and not used up."""
        first_page = request.query.get("page", ["1"]) == ["1"]
        if self.kind == "shift" and first_page:
            return False
        return self.times > 0 and self.method == request.method and re.search(self.path, request.path) is not None


@dataclass
class FaultList:
    """The faults that wait for their calls; the oldest that matches is taken."""

    waiting: list[Fault] = field(default_factory=list)

    def take(self, request: Request) -> list[Fault]:
        """The faults of this call, used once each: any work in between, and at most one other."""
        taken: list[Fault] = []
        for fault in self.waiting:
            if fault.matches(request) and (fault.kind == "before" or all(one.kind == "before" for one in taken)):
                fault.times -= 1
                taken.append(fault)
        self.waiting = [fault for fault in self.waiting if fault.times > 0]
        return taken


_WORDS = {
    400: {"message": "400 Bad request"},
    401: {"message": "401 Unauthorized"},
    403: {"message": "403 Forbidden"},
    404: {"message": "404 Not found"},
    405: {"message": "405 Method Not Allowed"},
    409: {"message": "409 Conflict"},
    422: {"message": "422 Unprocessable Entity"},
    429: {"message": {"error": "Too many requests. Please try again later."}},
    500: {"message": "500 Internal Server Error"},
    502: {"message": "502 Bad Gateway"},
    503: {"message": "503 Service Unavailable"},
}


def error_answer(status: int, message: object = None, headers: Mapping[str, str] | None = None) -> Answer:
    """GitLab's answer of that status; a 429 says by default to come back after no second at all."""
    body = _WORDS.get(status, {"message": str(status)}) if message is None else {"message": message}
    told = {"retry-after": "0", "ratelimit-remaining": "0"} if status == 429 else {}
    return Answer(status, body, {**told, **(headers or {})})
