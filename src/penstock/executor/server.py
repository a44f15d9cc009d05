"""The process around the app: one socket, uvicorn on uvloop, and a shutdown that loses no run."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from penstock.errors import Unavailable
from penstock.executor.executor import Executor
from penstock.executor.protocol import BoundedProtocol
from penstock.executor.telemetry.access_log import AccessLog
from penstock.executor.telemetry.log_format import set_up_logs
from penstock.garbage import settle

INTERRUPTED = 130
CLOSE_S = 5  # for connections to end once every run has


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the executor listens, how long a shutdown waits for runs (seconds), whether requests are logged."""

    host: str = "127.0.0.1"
    port: int = 8080
    drain_s: float = 30.0
    access_log: bool = False


def serve(executor: Executor, app: ASGIApp, listening: Listening, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT, then drains: readiness and new runs 503 at once, runs in flight go on.

    `announce` gets the bound URL once connections are accepted. Raises `Unavailable` if the address cannot be bound.
    A second signal ends the process at once with status 130.
    """
    bound = _bind(listening)
    set_up_logs(executor.settings.log_format, access=listening.access_log)
    config = uvicorn.Config(
        AccessLog(app) if listening.access_log else app,
        http=BoundedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=CLOSE_S,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Server(config), bound, executor, listening.drain_s, announce))


async def _serve(
    server: "_Server", bound: socket.socket, executor: Executor, drain_s: float, announce: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    _on_signals(stop)
    async with executor:
        serving = asyncio.create_task(server.serve([bound]))
        try:
            await _either(server.accepting, serving)
            if server.accepting.is_set():
                executor.report_as(_url(bound))
                settle()
                announce(_url(bound))
                await _either(stop, serving)
                await executor.drain(drain_s)
        finally:
            server.should_exit = True
            await serving


async def _either(event: asyncio.Event, serving: "asyncio.Task[None]") -> None:
    """Waits for the event, or for a server that ended by itself."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait({waiting, serving}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _on_signals(stop: asyncio.Event) -> None:
    def heard() -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)


def _bind(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((listening.host, listening.port))
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"cannot listen: {error.strerror or error}",
            where=f"{listening.host}:{listening.port}",
            now="stop what listens there, or give another --port (0 = any free one)",
        ) from None
    return bound


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn's server, with the signals left to `serve`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Takes no signal."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Says when connections are accepted."""
        await super().startup(sockets)
        self.accepting.set()
