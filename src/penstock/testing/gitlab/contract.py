"""Holds recorded calls against GitLab's own OpenAPI document: requests that no GitLab takes, answers that none gives.

The document is a subset of GitLab's, in which no object takes a field that is not written down;
`penstock.testing.gitlab.reference` says where it lies.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from penstock.testing.gitlab.ask import Request
from penstock.testing.gitlab.call import Call
from penstock.testing.gitlab.document import API, OUTSIDE, mended
from penstock.testing.gitlab.reference import DOCUMENT, reference

_HOST = "http://localhost"
# Every path may answer these, whether its list of answers says so or not: parameters that Grape refuses, a token that
# is none, a user who may not, a project that is not to be seen, too many requests.
_EVERYWHERE = frozenset({400, 401, 403, 404, 429})


def violations(calls: Iterable[Call]) -> list[str]:
    """Everything in these calls that the document does not know, one line each; an empty list is what tests want.

    Answers that the fake was told to give are not looked at, their requests are. Raises `Unavailable` when the
    document is missing.
    """
    reference(DOCUMENT)  # missing is said each time, whatever an earlier call found
    contract = _contract()
    return list(dict.fromkeys(line for call in calls for line in contract.violations(call)))


@cache
def _contract() -> "Contract":
    return Contract(mended(reference(DOCUMENT)))


@dataclass
class _Asked:
    """A request as openapi-core wants it."""

    path: str
    method: str
    parameters: Any
    body: bytes | None
    host_url: str = _HOST
    content_type: str = "application/json"


@dataclass
class _Answered:
    """An answer as openapi-core wants it."""

    status_code: int
    data: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Contract:
    """The document, ready to judge calls."""

    def __init__(self, document: dict[str, Any]) -> None:
        from openapi_core import OpenAPI

        self._document = document
        self._openapi = OpenAPI.from_dict(document)

    def violations(self, call: Call) -> Iterator[str]:
        """What is wrong with one call; nothing is said of paths outside of the document."""
        if any(pattern.fullmatch(call.request.path) for pattern in OUTSIDE):
            return
        template, operation = self._operation(call)
        for part, what in self._found(call, operation):
            yield f"{call.request.method} {template}: {part}: {what}"

    def _found(self, call: Call, operation: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
        if operation is None:
            yield "path", "no such path or method"
            return
        asked = _asked(call.request)
        yield from _unknown_queries(call.request, operation)
        for error in self._openapi.iter_request_errors(asked):
            yield from _told(_part(error), error)
        if call.status and not call.fault:
            yield from self._answer_faults(call, asked, operation)

    def _answer_faults(self, call: Call, asked: _Asked, operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
        declared = operation["responses"].get(str(call.status))
        if declared is None and call.status not in _EVERYWHERE:
            yield "status", f"{call.status} is not among the answers"
        elif call.status >= 400:
            if not isinstance(call.body, dict) or not {"message", "error"} & set(call.body):
                yield "response", f"{call.status} has neither message nor error"
        elif call.status != 204:
            answered = _Answered(call.status, json.dumps(call.body).encode())
            for error in self._openapi.iter_response_errors(asked, answered):
                yield from _told("response", error)

    def _operation(self, call: Call) -> tuple[str, dict[str, Any] | None]:
        """The path's template and what the document says of it; the most literal template that fits wins."""
        given = f"{API}{call.request.path}".split("/")
        fitting = [
            template
            for template in self._document["paths"]
            if _fits(template.split("/"), given) and call.request.method.lower() in self._document["paths"][template]
        ]
        if not fitting:
            return call.request.path, None
        template = min(fitting, key=lambda name: name.count("{"))
        return template.removeprefix(API), self._document["paths"][template][call.request.method.lower()]


def _fits(template: list[str], given: list[str]) -> bool:
    if len(template) != len(given):
        return False
    return all(part.startswith("{") or part == word for part, word in zip(template, given, strict=True))


def _asked(request: Request) -> _Asked:
    from openapi_core.datatypes import RequestParameters
    from werkzeug.datastructures import Headers, ImmutableMultiDict

    pairs = parse_qsl(urlencode(dict(request.query), doseq=True), keep_blank_values=True)
    parameters = RequestParameters(
        query=ImmutableMultiDict([(name.removesuffix("[]"), value) for name, value in pairs]),
        header=Headers(list(request.headers.items())),
        cookie=ImmutableMultiDict(),
    )
    return _Asked(f"{API}{request.path}", request.method.lower(), parameters, request.data or None)


def _unknown_queries(request: Request, operation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    known = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
    for name in request.query:
        if name.removesuffix("[]") not in known:
            yield "query", f"{name} is no parameter"


def _part(error: Any) -> str:
    """Which part of a request an error is about."""
    name = f"{type(error).__name__} {error}"
    words = (("Body", "body"), ("Security", "token"), ("Path parameter", "path"))
    return next((part for word, part in words if word in name), "query")


def _told(part: str, error: Any) -> Iterator[tuple[str, str]]:
    """The lines of one error: of each field where a schema was broken, else the error itself."""
    cause: Any = error
    while cause is not None:
        broken = getattr(cause, "schema_errors", None)
        if broken:
            for one in broken:
                place = ".".join("[]" if isinstance(step, int) else str(step) for step in one.absolute_path)
                yield part, f"{place or getattr(error, 'name', '(all)')}: {one.message}"
            return
        cause = cause.__cause__
    yield part, f"{error} {error.__cause__ or ''}".strip()
