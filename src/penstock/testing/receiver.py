"""A receiver of webhooks on loopback that answers as it is told: `python -m penstock.testing.receiver PORT`.

As a program it prints type and subject of each event that comes.
"""

import json
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Received:
    """One request: its path, its headers in lower case, its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass
class Receiver:
    """A context manager; inside it requests are taken at `url`.

    `answers` are the statuses of the next requests, 204 once there are none; 0 = no answer until the end, 3xx sends
    to `/elsewhere`. `heard` is called with each request before it is answered.
    """

    port: int = 0
    answers: deque[int] = field(default_factory=deque)
    received: list[Received] = field(default_factory=list)
    heard: Callable[[Received], None] = lambda _: None

    def __enter__(self) -> "Receiver":
        self._end = threading.Event()
        self._server = ThreadingHTTPServer((HOST, self.port), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="receiver", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._server.server_address[1]}/hook"

    @property
    def events(self) -> list[dict[str, Any]]:
        """What was received, as JSON."""
        return [one.event for one in self.received]

    def take(self, request: Received) -> int:
        """Notes the request; returns the status to answer with, 0 once it is over."""
        self.received.append(request)
        self.heard(request)
        status = self.answers.popleft() if self.answers else 204
        if status == 0:
            self._end.wait()
        return status


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Received(self.path, headers, body))
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing: requests are in `received`."""

    return Handler


def main() -> None:
    """Takes requests until a signal ends it."""

    def say(request: Received) -> None:
        event = request.event
        print(event.get("type"), event.get("subject"), flush=True)  # noqa: T201

    with Receiver(int(sys.argv[1]), heard=say):
        threading.Event().wait()


if __name__ == "__main__":
    main()
