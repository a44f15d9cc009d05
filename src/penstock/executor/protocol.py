"""HTTP on the wire: uvicorn's protocol with a bound on the head of a request, in bytes and in time.

The parser has neither: without this a client can make the process collect one endless header, or hold a connection
open with half a head for ever.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 << 10
MAX_HEAD_S = 10.0
_CLIENT = "penstock.client"


class _Client:
    """The other end of a connection, and who wants to hear that it is gone."""

    def __init__(self) -> None:
        self.is_gone = False
        self.watchers: list[Callable[[], None]] = []

    def gone(self) -> None:
        self.is_gone = True
        for told in tuple(self.watchers):
            told()


@contextmanager
def client_gone(scope: Scope, told: Callable[[], None]) -> Iterator[None]:
    """Inside it, `told` is called if the client of a request closes the connection, or did so before.

    Waiting for `http.disconnect` says the same, at the price of a task for each request. A server with another protocol
    than `BoundedProtocol` tells nothing.
    """
    client: _Client = scope.get(_CLIENT) or _Client()
    client.watchers.append(told)
    if client.is_gone:
        told()
    try:
        yield
    finally:
        client.watchers.remove(told)


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a head over 32 KiB (431), or one that is not complete ten seconds after its first byte (408)."""

    _in_body = False
    _refused = False
    _bytes_in = 0  # since the last complete head: bounds a header that never ends
    _bytes_of_fields = 0  # of the head being read: bounds one that came in a single piece
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected: its first head is awaited."""
        super().connection_made(transport)
        self._client = _Client()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._head_arrived()
        super().connection_lost(exc)
        self._client.gone()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._refused:
            return
        if not self._in_body:
            self._bytes_in += len(data)
            if self._head_timer is None:
                self._await_head()
        super().data_received(data)
        if not self._in_body and self._bytes_in > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"the head of the request is over 32768 bytes")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._bytes_of_fields = 0
        super().on_message_begin()
        self.scope[_CLIENT] = self._client  # type: ignore[literal-required]

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field."""
        self._bytes_of_fields += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._in_body = True
        self._bytes_in = 0
        self._head_arrived()
        if self._bytes_of_fields + len(self.url) > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"the head of the request is over 32768 bytes")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete: another may follow."""
        self._in_body = False
        if not self._refused:
            super().on_message_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(MAX_HEAD_S, self._too_slow)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._refuse(b"408 Request Timeout", b"the head of the request did not arrive within 10 seconds")

    def _refuse(self, status: bytes, what: bytes) -> None:
        self._refused = True
        self._head_arrived()
        if self.transport.is_closing():
            return
        head = b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
        self.transport.write(head % (status, len(what)) + b"connection: close\r\n\r\n" + what)
        self.transport.close()
