"""The model server's HTTP/1.1: one small protocol class, quick enough for benchmarks, that sees every disconnect."""

import asyncio
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import orjson

from penstock.errors import WrongUse
from penstock.llm.scripted.answer import MODELS, answer
from penstock.testing.chat_completion import error_body, stream_events, too_long_body, whole_body
from penstock.testing.model_fault import ModelFault

_HEAD_BYTES = 65_536
_BODY_BYTES = 16_777_216
_JSON = "application/json"


@dataclass(slots=True)
class ModelStatistics:
    """What the server saw: chats begun, chats answered in full, chats whose caller left before the answer's end."""

    requests: int = 0
    answered: int = 0
    disconnects: int = 0
    in_flight: int = 0


@dataclass(slots=True)
class ModelState:
    """Shared by all connections: the counts, the faults of the next chats, the last request and its headers."""

    statistics: ModelStatistics = field(default_factory=ModelStatistics)
    faults: deque[str] = field(default_factory=deque)
    last_body: dict[str, Any] = field(default_factory=dict)
    last_headers: dict[str, str] = field(default_factory=dict)
    connections: "set[ModelProtocol]" = field(default_factory=set)


class ModelProtocol(asyncio.Protocol):
    """One connection: requests one after the other, each answered in a task of its own."""

    def __init__(self, state: ModelState) -> None:
        self._state = state
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Reads on; begins an answer once a request is whole."""
        self._buffer += data
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the answer in flight: its caller is gone."""
        self._transport = None
        self._state.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def _next(self) -> None:
        if self._task is not None or self._transport is None:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_BYTES:
                self._transport.close()
            return
        first, headers = _head(bytes(self._buffer[:end]))
        length = headers.get("content-length", "0")
        size = int(length) if length.isdigit() else 0
        if size > _BODY_BYTES:
            self._send(413, error_body(413, "the request is too large"))
            self._transport.close()
            return
        if len(self._buffer) < end + 4 + size:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        if first[:2] == ["POST", "/v1/chat/completions"]:
            self._task = asyncio.get_running_loop().create_task(self._chat(headers, body))
            self._task.add_done_callback(self._done)
        else:
            self._other(first, body)
            self._next()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._state.statistics.in_flight -= 1
        if task.cancelled():
            self._state.statistics.disconnects += 1
        else:
            task.result()
            self._state.statistics.answered += 1
        self._next()

    def _other(self, first: list[str], body: bytes) -> None:
        """Everything but a chat: the list of models and the tests' control."""
        if first[:2] == ["GET", "/v1/models"]:
            self._send(
                200, orjson.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})
            )
        elif first[:2] == ["GET", "/control"]:
            state = self._state
            seen = {"statistics": asdict(state.statistics), "body": state.last_body, "headers": state.last_headers}
            self._send(200, orjson.dumps(seen))
        elif first[:2] == ["POST", "/control"]:
            self._state.faults.extend(orjson.loads(body)["faults"])
            self._send(200, b"{}")
        else:
            self._send(404, error_body(404, "only /v1/chat/completions and /v1/models are here"))

    async def _chat(self, headers: dict[str, str], body: bytes) -> None:
        state = self._state
        state.statistics.requests += 1
        state.statistics.in_flight += 1
        try:
            request = orjson.loads(body)
            messages = request["messages"]
            model, _, named = str(request["model"]).partition("+")
            queued = state.faults.popleft() if state.faults else ""
            fault = ModelFault.parse(f"{named}+{headers.get('x-fault', '')}+{queued}")
        except (KeyError, TypeError, ValueError, WrongUse) as error:
            self._send(400, error_body(400, f"the request cannot be read: {error}"))
            return
        state.last_body, state.last_headers = request, headers
        await _suffer(fault)
        if "too-long" in fault.kinds:
            self._send(400, too_long_body())
            return
        if fault.status != 200:
            self._send(fault.status, error_body(fault.status, "a fault that was asked for"), retry_after=1)
            return
        told = answer(messages, request.get("tools") or (), request.get("response_format"), model)
        if request.get("stream"):
            with_usage = bool((request.get("stream_options") or {}).get("include_usage"))
            await self._stream(stream_events(model, told, fault, with_usage), fault)
        else:
            self._send(200, whole_body(model, told, fault), cut="cut" in fault.kinds)

    async def _stream(self, events: list[bytes], fault: ModelFault) -> None:
        self._write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        if "cut" in fault.kinds:
            events = events[: max(1, len(events) // 2)]
        for event in events:
            if fault.slow_ms:
                await asyncio.sleep(fault.slow_ms / 1000)
            self._write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        if "cut" in fault.kinds:
            self.close()
        else:
            self._write(b"0\r\n\r\n")

    def _send(self, status: int, body: bytes, *, retry_after: int = 0, cut: bool = False) -> None:
        wait = f"retry-after: {retry_after}\r\n" if retry_after else ""
        head = f"HTTP/1.1 {status} -\r\ncontent-type: {_JSON}\r\ncontent-length: {len(body)}\r\n{wait}\r\n"
        self._write(head.encode() + (body[: len(body) // 2] if cut else body))
        if cut:
            self.close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Closes the connection once what was written is sent."""
        if self._transport is not None:
            self._transport.close()


async def _suffer(fault: ModelFault) -> None:
    if "hang" in fault.kinds:
        await asyncio.Event().wait()
    if fault.latency_ms:
        await asyncio.sleep(fault.latency_ms / 1000)


def _head(data: bytes) -> tuple[list[str], dict[str, str]]:
    lines = data.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return lines[0].split(" "), {name.strip().lower(): value.strip() for name, _, value in pairs}
