"""Every way in which the executor says no: one table from errors and failed runs to HTTP status and problem+json.

The types are stable URNs, documented in docs/executor.md; a client decides by `type` and `status`, never by words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.responses import Response

from penstock.errors import BudgetSpent, LimitReached, PenstockError

URN = "urn:penstock:problem:"
MEDIA_TYPE = "application/problem+json"

TITLES: Mapping[str, str] = {
    "error": "It did not work",
    "refused": "A rule stands against it",
    "not-found": "There is no such thing",
    "conflict": "Its state does not allow it",
    "invalid": "The request breaks its contract",
    "limit-reached": "A limit refuses it for now",
    "budget-spent": "A budget is used up",
    "wrong-use": "The request makes no sense",
    "unavailable": "Something that it needs is away",
    "model-failed": "The model gave no usable answer",
    "tool-failed": "A tool gave no usable result",
    "draining": "This executor is shutting down",
    "too-large": "The request is too large",
    "too-slow": "The request came too slowly",
    "method-not-allowed": "The method is not allowed here",
    "internal": "A fault of the executor",
    "run-rejected": "The run was not started",
    "run-failed": "The run failed",
    "run-timed-out": "The run took longer than its agent's limit",
    "run-cancelled": "The run was cancelled",
}

# (how the run ended, code of its error) -> HTTP status. A run that its own limits stopped is no 429: asking again
# costs the same again.
RUN_STATUS: Mapping[tuple[str, str], int] = {
    ("rejected", "policy"): 403,
    ("rejected", "limit"): 429,
    ("rejected", "budget"): 429,
    ("rejected", "schema"): 422,
    ("rejected", "runtime"): 422,
    ("rejected", "unavailable"): 503,
    ("failed", "model"): 502,
    ("failed", "tool"): 502,
    ("failed", "runtime"): 502,
    ("failed", "schema"): 502,
    ("failed", "policy"): 403,
    ("failed", "limit"): 422,
    ("failed", "budget"): 429,
    ("failed", "timeout"): 504,
    ("failed", "fixture-missing"): 422,
    ("failed", "replay-miss"): 422,
    ("timed_out", "timeout"): 504,
    ("cancelled", "cancel"): 409,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer that is a no. `slug` is the tail of its type; `extra` holds further members of the document."""

    status: int
    slug: str
    what: str
    where: str = ""
    now: str = ""
    retry_after_s: int | None = None
    close: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The sentence of the type, the same for each of its problems."""
        return TITLES.get(self.slug) or TITLES.get(self.slug.partition(":")[0], TITLES["error"])

    def as_document(self) -> dict[str, Any]:
        """The document of RFC 9457, with what, where and what now."""
        where = f"{self.where}: " if self.where else ""
        now = f"; {self.now}" if self.now else ""
        return {
            "type": URN + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": f"{where}{self.what}{now}",
            "what": self.what,
            "where": self.where,
            "now": self.now,
            **self.extra,
        }

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the answer beside its length."""
        headers = [(b"content-type", MEDIA_TYPE.encode())]
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.close:
            headers.append((b"connection", b"close"))
        return headers

    def response(self) -> Response:
        """The answer as Starlette sends it."""
        headers = {name.decode(): value.decode() for name, value in self.headers()}
        return Response(orjson.dumps(self.as_document()), self.status, headers)


class Refusal(PenstockError):
    """A problem of HTTP alone (too large, too slow, draining); `problem` is the answer."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what, where=problem.where, now=problem.now)
        self.slug = problem.slug
        self.http_status = problem.status
        self.problem = problem


def problem_of(error: PenstockError) -> Problem:
    """The problem that an error is; status and slug stand on its class."""
    if isinstance(error, Refusal):
        return error.problem
    retry_after_s = 1 if error.http_status in {429, 503} else None
    if isinstance(error, LimitReached):
        retry_after_s = _whole_s(error.retry_after_s)
    faults = [fault.as_dict() for fault in getattr(error, "faults", ())]
    extra: dict[str, Any] = {"faults": faults} if faults else {}
    if isinstance(error, BudgetSpent):
        extra["ledger"] = error.ledger
    return Problem(error.http_status, error.slug, error.what, error.where, error.now, retry_after_s, extra=extra)


def problem_of_run(run: Mapping[str, Any]) -> Problem:
    """The problem that a run's result document is when it ended in anything but `finished`.

    The run's own fields (runId, version, usage, ...) are members of the problem, so that nothing is lost.
    """
    ended = str(run["status"])
    error = run.get("error") or {}
    code = str(error.get("code", ""))
    status = RUN_STATUS.get((ended, code), 502)
    slug = f"run-{ended.replace('_', '-')}"
    if ended in {"failed", "rejected"} and code:
        slug = f"{slug}:{code}"
    extra = {name: value for name, value in run.items() if name not in {"status", "output"}}
    extra["runStatus"] = ended
    extra |= {name: error[name] for name in ("faults", "ledger") if error.get(name)}
    return Problem(
        status,
        slug,
        str(error.get("what") or f"the run ended as {ended}"),
        str(error.get("where", "")),
        str(error.get("now", "")),
        _whole_s(error.get("retryAfterS", 1)) if status in {429, 503} else None,
        extra=extra,
    )


def _whole_s(seconds: float) -> int:
    return max(math.ceil(seconds), 1)


def draining() -> Problem:
    """The answer to a new run once the executor is shutting down."""
    return Problem(
        503, "draining", "this executor is shutting down", now="ask another replica, or again in a moment",
        retry_after_s=1, close=True,
    )  # fmt: skip


def internal() -> Problem:
    """The answer to a fault of the executor itself: the log has the traceback, the client has none."""
    return Problem(500, "internal", "a fault of the executor", now="the executor's log has the traceback")
