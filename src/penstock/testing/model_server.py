"""The scripted model behind a local OpenAI-compatible HTTP server, with faults on demand.

Tests and benchmarks drive LiteLLM's real HTTP path through it: a model spec `openai/qa-rules` with the parameters
of `ModelServer.parameters`. It listens on the loopback interface only. By hand:
`python -m penstock.testing.model_server --port 8091`; what may go wrong stands in `penstock.testing.model_fault`.
"""

import argparse
import asyncio
import importlib
import importlib.util
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any

from penstock.errors import Unavailable
from penstock.testing.model_http import ModelProtocol, ModelState, ModelStatistics

HOST = "127.0.0.1"
_START_S = 30.0
_CONTROL_S = 10.0


class ModelServer:
    """A running server, in a thread, or in a process of its own (for benchmarks). Sync and async context manager.

    In a thread it takes `port`, 0 = a free one.
    """

    def __init__(self, *, in_process: bool = False, port: int = 0) -> None:
        self.port = port
        self._in_process = in_process
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        """The base URL for a client of the API, `/v1` included."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def parameters(self) -> dict[str, str]:
        """What a model spec of an `openai/…` model needs to reach this server."""
        return {"apiBase": self.url, "apiKey": "scripted"}

    @property
    def statistics(self) -> ModelStatistics:
        """What the server has seen so far."""
        return ModelStatistics(**self._control()["statistics"])

    @property
    def last_request(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The body and the headers (names in lower case) of the last chat."""
        seen = self._control()
        return seen["body"], seen["headers"]

    def next_faults(self, *faults: str) -> None:
        """Faults of the next chats, one each in their order (`""` = none), on top of those in the model's name."""
        self._control({"faults": list(faults)})

    def start(self) -> "ModelServer":
        """Starts listening; returns once it does. Raises `Unavailable` if it does not."""
        if self._in_process:
            self._start_process()
        else:
            self._start_thread()
        return self

    def stop(self) -> None:
        """Stops listening and closes every connection."""
        self._stop()
        if self._thread is not None:
            self._thread.join(_START_S)
        if self._process is not None:
            self._process.wait(_START_S)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def pause(self) -> None:
        """Lets the process hang: connections stay, and nothing is answered. Of a server in its own process only."""
        self._owned.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets the process go on where it hung."""
        self._owned.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends the process at once; `start` begins another, on another port."""
        self._owned.kill()
        self.stop()

    @property
    def _owned(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "the server has no process of its own"
        return self._process

    def __enter__(self) -> "ModelServer":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> "ModelServer":
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _start_thread(self) -> None:
        loop, ready, stopping = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

        def listening(port: int) -> None:
            self.port = port
            ready.set()

        def work() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(_serve(self.port, listening, stopping))

        def stop() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stopping.set)

        self._stop = stop
        self._thread = threading.Thread(target=work, name="penstock-model-server", daemon=True)
        self._thread.start()
        if not ready.wait(_START_S):
            raise Unavailable("the model server does not listen", where=HOST)

    def _start_process(self) -> None:
        command = [sys.executable, "-m", "penstock.testing.model_server", "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._stop = self._process.terminate
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        port = line.strip().rpartition(":")[2].removesuffix("/v1")
        if not port.isdigit():
            self.stop()
            raise Unavailable("the model server does not listen", where=HOST)
        self.port = int(port)

    def _control(self, order: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if order is None else json.dumps(order).encode()
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/control", data, timeout=_CONTROL_S) as response:
            seen: dict[str, Any] = json.load(response)
        return seen


async def _serve(port: int, listening: Callable[[int], None], stopping: asyncio.Event) -> None:
    state = ModelState()
    server = await asyncio.get_running_loop().create_server(lambda: ModelProtocol(state), HOST, port)
    listening(server.sockets[0].getsockname()[1])
    try:
        await stopping.wait()
    finally:
        server.close()
        for protocol in list(state.connections):
            protocol.close()


def main() -> None:
    """Serves until it is stopped; prints its base URL as the first line."""
    parser = argparse.ArgumentParser(description="The scripted model behind an OpenAI-compatible HTTP server.")
    parser.add_argument("--port", type=int, default=0, help="port on the loopback interface; 0 takes a free one")
    port = parser.parse_args().port

    def listening(taken: int) -> None:
        sys.stdout.write(f"http://{HOST}:{taken}/v1\n")
        sys.stdout.flush()

    factory = None
    if importlib.util.find_spec("uvloop"):
        factory = importlib.import_module("uvloop").new_event_loop
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(_serve(port, listening, asyncio.Event()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
