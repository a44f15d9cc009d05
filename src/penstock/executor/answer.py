"""Answers as bytes: JSON by orjson, without a response model between the engine and the wire."""

from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Send

from penstock.executor.problems import Problem

Header = tuple[bytes, bytes]


class JsonAnswer(Response):
    """A JSON document as orjson writes it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The document's bytes."""
        return orjson.dumps(content)


async def send_json(send: Send, document: Any, *more: Header, status: int = 200, close: bool = False) -> None:
    """Sends `document` with these headers; `close` ends the connection after it."""
    headers = [(b"content-type", b"application/json"), *more]
    if close:
        headers.append((b"connection", b"close"))
    await _send(send, status, headers, orjson.dumps(document))


async def send_problem(send: Send, problem: Problem, *more: Header) -> None:
    """Sends a problem, with these headers."""
    await _send(send, problem.status, [*problem.headers(), *more], orjson.dumps(problem.as_document()))


async def _send(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
