"""Reads a request's body: bounded in size and in time."""

import asyncio
from collections.abc import Iterable

from starlette.types import Receive

from penstock.executor.problems import Problem, Refusal

MAX_BODY_BYTES = 1 << 20
MAX_BODY_S = 10.0


class ClientGone(Exception):
    """The client closed the connection before its request was complete or answered."""


async def read_body(
    receive: Receive,
    headers: Iterable[tuple[bytes, bytes]],
    max_bytes: int = MAX_BODY_BYTES,
    within_s: float | None = None,
) -> bytes:
    """The whole body; raises `Refusal` (413 over `max_bytes`, 408 after `within_s`, else 10 s) or `ClientGone`."""
    patience_s = MAX_BODY_S if within_s is None else within_s
    for name, value in headers:
        if name == b"content-length" and int(value) > max_bytes:
            raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(patience_s):
            return await _collect(receive, max_bytes)
    except TimeoutError:
        what = f"the body did not arrive within {patience_s:g} seconds"
        raise Refusal(Problem(408, "too-slow", what, "request body", "send it at once", close=True)) from None


async def _collect(receive: Receive, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunk if len(chunks) == 1 else b"".join(chunks)


def _too_large(max_bytes: int) -> Refusal:
    what = f"the body is over {max_bytes} bytes"
    now = "send less: the input is not a place for files; POST /v1/payloads takes inputs of up to 4 MiB"
    return Refusal(Problem(413, "too-large", what, "request body", now))
