"""A server for HTTP tools on loopback: it answers as the path says, and sees every caller that leaves.

`/echo/...` tells the request, `/status/<n>` answers with that status and a word, `/moved` sends elsewhere, `/hang`
never answers, `/long` sends more than a tool may, `/text`, `/list` and `/empty` are bodies that are no object, `/cut`
ends the connection in the middle.
"""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import orjson
from aiohttp import web

from penstock.errors import Unavailable

HOST = "127.0.0.1"
LONG_BYTES = 3 * 1024 * 1024
_START_S = 20.0
_BODIES = {"/text": b"hello", "/list": b"[1]", "/empty": b""}


class ToolServer:
    """A context manager; inside it requests are taken at `url`. `seen` has a document for each request."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: list[dict[str, Any]] = []
        self.disconnects = 0
        self.in_flight = 0
        self._stop: Callable[[], object] = lambda: None

    @property
    def place(self) -> str:
        """host:port, as the setting tool_hosts wants it."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.place}"

    def __enter__(self) -> "ToolServer":
        listening = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(listening,), name="tool-server", daemon=True)
        self._thread.start()
        if not listening.wait(_START_S):
            raise Unavailable("the tool server does not listen", where=HOST)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()
        self._thread.join(_START_S)

    def _work(self, listening: threading.Event) -> None:
        asyncio.run(self._serve(listening))

    async def _serve(self, listening: threading.Event) -> None:
        loop, ending = asyncio.get_running_loop(), asyncio.Event()
        runner = web.ServerRunner(web.Server(self._answer, handler_cancellation=True), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        assert runner.server is not None
        self.port = runner.addresses[0][1]
        self._stop = lambda: loop.call_soon_threadsafe(ending.set)
        listening.set()
        await ending.wait()
        await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        told = {
            "method": request.method,
            "path": request.raw_path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": orjson.loads(body) if body else None,
        }
        self.seen.append(told)
        self.in_flight += 1
        try:
            return await self._told(request, told)
        except asyncio.CancelledError:
            self.disconnects += 1
            raise
        finally:
            self.in_flight -= 1

    async def _told(self, request: web.BaseRequest, told: dict[str, Any]) -> web.StreamResponse:
        path = request.path
        if path == "/hang":
            await asyncio.Event().wait()
        if path == "/moved":
            return web.Response(status=302, headers={"location": "/echo/elsewhere"})
        if path == "/cut":
            answer = web.StreamResponse(headers={"content-length": "100"})
            await answer.prepare(request)
            await answer.write(b"{")
            assert request.transport is not None
            request.transport.close()
            return answer
        if path == "/long":
            return web.Response(body=b'{"x": "' + b"y" * LONG_BYTES + b'"}')
        if path.startswith("/status/"):
            headers = {"retry-after": "2"} if path.endswith("429") else {}
            return web.Response(status=int(path.rpartition("/")[2]), text=f"no: {told['headers']}", headers=headers)
        if path in _BODIES:
            return web.Response(body=_BODIES[path])
        return web.Response(body=orjson.dumps(told))
