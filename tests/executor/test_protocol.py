import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from penstock.executor import protocol
from penstock.executor.protocol import BoundedProtocol, client_gone


async def small_app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def listening(app: Any = small_app) -> AsyncIterator[int]:
    bound = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve([bound]))
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def answer(port: int, *pieces: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        async with asyncio.timeout(10):
            return await reader.readuntil(b"\r\n")
    finally:
        writer.close()


def head(size: int) -> bytes:
    return b"GET / HTTP/1.1\r\nhost: x\r\nx-big: " + b"a" * size + b"\r\n\r\n"


async def test_a_head_is_bounded_in_bytes() -> None:
    async with listening() as port:
        assert b" 200 " in await answer(port, head(30_000))
        assert b" 431 " in await answer(port, head(33_000))
        assert b" 431 " in await answer(port, head(150_000))


async def test_a_header_that_never_ends_is_cut_off() -> None:
    async with listening() as port:
        endless = [b"GET / HTTP/1.1\r\nx-big: "] + [b"a" * 8_000] * 5
        assert b" 431 " in await answer(port, *endless)


async def test_half_a_head_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_HEAD_S", 0.1)
    async with listening() as port:
        assert b" 408 " in await answer(port, b"GET / HTTP/1.1\r\nhost: x\r\n")


async def test_a_connection_is_used_again_after_a_large_body() -> None:
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 40000\r\n\r\n" + b"a" * 40_000)
            assert b" 200 " in await reader.readuntil(b"ok")
        writer.close()


@pytest.mark.parametrize("asks_late", [False, True])
async def test_who_asks_hears_once_that_the_client_is_gone_however_late_he_asks(asks_late: bool) -> None:
    came, told, left = asyncio.Event(), asyncio.Event(), asyncio.Event()
    times: list[str] = []

    def gone() -> None:
        times.append("gone")
        told.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came.set()
        if asks_late:
            while (await receive())["type"] != "http.disconnect":
                pass
        with client_gone(scope, gone):
            await told.wait()
        left.set()

    async with listening(app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(10))
        async with asyncio.timeout(10):
            await came.wait()
            assert not told.is_set()
            writer.close()
            await left.wait()
    assert times == ["gone"]


async def test_who_asked_of_an_earlier_request_of_the_connection_hears_nothing() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with client_gone(scope, lambda: told.append("gone")):
            await small_app(scope, receive, send)

    async with listening(app) as port:
        assert b" 200 " in await answer(port, head(10))
    assert told == []
