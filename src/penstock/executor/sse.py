"""Server-sent events: RunEvents as frames, with keep-alives, until the run's terminal event."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import orjson
from starlette.types import Receive, Send

from penstock.errors import PenstockError

LOG = logging.getLogger("penstock.executor")
KEEP_ALIVE_S = 15.0
STALLED_S = 30.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


def frame(event: Mapping[str, Any]) -> bytes:
    """One event; its `seq` is the id that a client resumes from. What has no seq (token.delta) has no id."""
    data = orjson.dumps(event)
    seq = event.get("seq")
    return b"data: %b\n\n" % data if seq is None else b"id: %d\ndata: %b\n\n" % (seq, data)


class EventStream:
    """One client's stream of one run. What came together is sent together: tokens often come in bursts.

    `gone` is called when the client closes the connection or does not read for 30 seconds, and ends the stream.
    """

    def __init__(self, receive: Receive, send: Send, gone: Callable[[], None] | None = None) -> None:
        self._receive = receive
        self._send = send
        self._gone = gone
        self._last_sent = 0.0
        self._frames: list[bytes] = []
        self._news = asyncio.Event()

    async def run(self, events: AsyncIterator[Mapping[str, Any]], headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Sends all events; returns after the last one, or as soon as the client is gone.

        What keeps the events from coming leaves the answer incomplete: the connection then ends without its last chunk.
        """
        await self._send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *headers]})
        taking = asyncio.ensure_future(self._take(events))
        forward = asyncio.ensure_future(self._forward(taking))
        watch = asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({forward, watch}, return_when=asyncio.FIRST_COMPLETED)
            problem = forward.exception() if forward.done() else None
            if isinstance(problem, PenstockError):
                LOG.warning("a stream ended before its run did: %s", problem)  # the client sees that it is not whole
            elif forward.done() and not isinstance(problem, TimeoutError):
                forward.result()
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            elif self._gone is not None:
                self._gone()
        finally:
            for task in (taking, forward, watch):
                task.cancel()
            await asyncio.gather(taking, forward, watch, return_exceptions=True)

    async def _take(self, events: AsyncIterator[Mapping[str, Any]]) -> None:
        async for event in events:
            self._frames.append(frame(event))
            self._news.set()

    async def _forward(self, taking: "asyncio.Task[None]") -> None:
        """Sends what was taken, to the end; then raises what ended the taking, if anything did."""
        taking.add_done_callback(lambda _: self._news.set())
        while self._frames or not taking.done():
            await self._news.wait()
            self._news.clear()
            frames, self._frames = self._frames, []
            if frames:
                await self._write(b"".join(frames))
        taking.result()

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    message = await self._receive()
                if message["type"] == "http.disconnect":
                    return
            except TimeoutError:
                if time.monotonic() - self._last_sent >= KEEP_ALIVE_S:
                    await self._write(b": keep-alive\n\n")

    async def _write(self, data: bytes) -> None:
        async with asyncio.timeout(STALLED_S):
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._last_sent = time.monotonic()
