"""A TCP proxy of a test's own, in front of a real server: it delays, cuts, resets, falls silent and refuses.

Loopback only, on a port that it keeps while nobody listens there; at most `MOST` connections at once.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal

Mode = Literal["pass", "delay", "cut", "half-open", "reset", "refuse"]
HOST = "127.0.0.1"
MOST = 512
PIECE_BYTES = 65_536
PATIENCE_S = 10.0
_RESET = struct.pack("ii", 1, 0)


class TcpProxy:
    """A context: inside it, what connects to `port` reaches `target` (a port of the loopback) as the mode says.

    A change of the mode meets the connections that are open as well as those to come:

    `pass` everything goes through; `delay` each piece of data waits for `delay_s` first; `cut` connections are closed,
    new ones at once; `reset` the same with a reset; `half-open` the server's side is closed and the client is told
    nothing: what it sends is taken, and nothing ever comes; `refuse` open connections are reset and nobody listens.
    A client that was left half-open is reset by the next change, as by a peer that lost its memory.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted = 0
        self._mode: Mode = "pass"
        self._delay_s = 0.0
        # It never listens: the port stays ours while nobody does.
        self._reserve = _bound(0)
        self.port: int = self._reserve.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-tcp-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    def __enter__(self) -> "TcpProxy":
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        self._reserve.close()

    @property
    def open_connections(self) -> int:
        """Clients that are connected now."""
        return len(self._links)

    def change(self, mode: Mode, *, delay_s: float = 0.05) -> None:
        """Puts the mode in force; returns once it is. `delay_s` is of `delay` alone."""
        self._do(self._change(mode, delay_s))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _change(self, mode: Mode, delay_s: float) -> None:
        self._mode, self._delay_s = mode, delay_s
        for link in list(self._links):
            if link.is_deaf or mode in {"reset", "refuse"}:
                link.reset()
            elif mode == "cut":
                link.close()
            elif mode == "half-open":
                link.forget_server()
        if mode == "refuse":
            await self._stop_listening()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        listener = _bound(self.port)
        self._server = await asyncio.start_server(self._met, sock=listener, backlog=MOST)

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()  # its connections are not waited for: they are reset one by one
            self._server = None

    async def _close(self) -> None:
        await self._stop_listening()
        for link in list(self._links):
            link.reset()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = _Link(reader, writer, lambda: self._delay_s if self._mode == "delay" else 0.0)
        if self._mode == "cut":
            link.close()
        elif self._mode in {"reset", "refuse"} or len(self._links) >= MOST:
            link.reset()
        else:
            self._links.add(link)
            try:
                await link.work(None if self._mode == "half-open" else self.target)
            finally:
                self._links.discard(link)


class _Link:
    """One client and its connection to the server; deaf = the server's side is gone, and the client does not know."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: Callable[[], float]
    ) -> None:
        self.is_deaf = False
        self._client = (reader, writer)
        self._server: asyncio.StreamWriter | None = None
        self._delay_s = delay_s

    async def work(self, target: int | None) -> None:
        """Carries data both ways until both sides have ended; a `target` of None leaves the client half-open."""
        reader, writer = self._client
        if target is None:
            self.is_deaf = True
            await self._swallow()
            self.close()
            return
        try:
            their_reader, self._server = await asyncio.open_connection(HOST, target)
        except OSError:
            self.reset()  # nobody listens there: the client is to see it
            return
        try:
            await asyncio.gather(self._carry(reader, self._server), self._carry(their_reader, writer))
        except asyncio.CancelledError:
            return  # the proxy closes; asyncio's server would log what it takes for a failure
        finally:
            self.close()

    def close(self) -> None:
        """Ends both sides in order."""
        for writer in self._sides():
            writer.close()

    def reset(self) -> None:
        """Ends both sides with a reset: what was sent and not read yet is lost."""
        for writer in self._sides():
            raw = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def forget_server(self) -> None:
        """Ends the server's side; the client hears nothing of it."""
        self.is_deaf = True
        if self._server is not None:
            self._server.transport.abort()

    def _sides(self) -> list[asyncio.StreamWriter]:
        return [self._client[1], *([self._server] if self._server is not None else [])]

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Takes what comes until it ends; a side that ended hard ends the other in the same way."""
        try:
            while data := await source.read(PIECE_BYTES):
                if wait_s := self._delay_s():
                    await asyncio.sleep(wait_s)
                if not self.is_deaf:
                    sink.write(data)
                    await sink.drain()
            if not self.is_deaf and not sink.is_closing():
                sink.write_eof()
        except OSError:
            if not self.is_deaf:
                self.reset()

    async def _swallow(self) -> None:
        """Takes what the client sends until it goes, or is reset."""
        with contextlib.suppress(OSError):
            while await self._client[0].read(PIECE_BYTES):
                pass


def _bound(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((HOST, port))
    return made
