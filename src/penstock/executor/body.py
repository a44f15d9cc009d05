"""Reads a request's body: bounded in size and in time."""

import asyncio
from collections.abc import Iterable

from starlette.types import Receive

from penstock.executor.problems import Problem, Refusal

MAX_BODY_BYTES = 1 << 20
MAX_BODY_S = 10.0


class ClientGone(Exception):
    """The client closed the connection before its request was complete or answered."""


async def read_body(receive: Receive, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole body; raises `Refusal` (413 over 1 MiB, 408 after ten seconds) or `ClientGone`."""
    for name, value in headers:
        if name == b"content-length" and int(value) > MAX_BODY_BYTES:
            raise _too_large()
    try:
        async with asyncio.timeout(MAX_BODY_S):
            return await _collect(receive)
    except TimeoutError:
        what = f"the body did not arrive within {MAX_BODY_S:g} seconds"
        raise Refusal(Problem(408, "too-slow", what, "request body", "send it at once", close=True)) from None


async def _collect(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunk if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> Refusal:
    what = f"the body is over {MAX_BODY_BYTES} bytes"
    return Refusal(Problem(413, "too-large", what, "request body", "send less: the input is not a place for files"))
