"""The receiver as a process: one socket, uvicorn, and an end at which no check is left half told."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Generator

import uvicorn
from starlette.types import ASGIApp

from penstock.errors import Unavailable

CLOSE_S = 5
LARGEST_HEADER = 32_768


def serve_app(app: ASGIApp, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; `announce` gets the bound URL once connections are accepted.

    Raises `Unavailable` if the address cannot be bound.
    """
    bound = _bind(host, port)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        h11_max_incomplete_event_size=LARGEST_HEADER,
        timeout_graceful_shutdown=CLOSE_S,
        timeout_keep_alive=CLOSE_S,
        limit_concurrency=200,
    )
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Server(config, announce), bound))


async def _serve(server: "_Server", bound: socket.socket) -> None:
    def heard() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, heard)
    await server.serve([bound])


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Unavailable(
            f"cannot listen: {error.strerror or error}",
            where=f"{host}:{port}",
            now="stop what listens there, or give another --port (0 = any free one)",
        ) from None
    return bound


class _Server(uvicorn.Server):
    """uvicorn's server, with the signals left to `_serve`, which says when connections are accepted."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Takes no signal."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept connections, and says where."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        self._announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
