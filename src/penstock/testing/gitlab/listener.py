"""The HTTP server on the loopback interface: a thread and a connection for each request, none left at the end."""

import json
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs, urlsplit

from penstock.testing.gitlab.ask import Answer, Request

HOST = "127.0.0.1"
_IDLE_S = 30
_LARGEST = 64 * 1024 * 1024
Raw = tuple[int, dict[str, str], bytes]
Work = Callable[[Request], Answer | Raw | None]


class Listener(ThreadingMixIn, HTTPServer):
    """Listens on a free port; `work` answers, and None from it closes the connection without an answer."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, work: Work) -> None:
        super().__init__((HOST, 0), _Handler)
        self.work = work
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="penstock-gitlab-fake")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.server_address[1]}"

    def start(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Ends every connection, thread and the port."""
        self.shutdown()
        self._thread.join()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended by itself
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remembers the connection, so that `stop` can end it."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forgets the connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter; anything else is shown, and the client sees a closed connection."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    wbufsize = -1

    def log_message(self, *_: Any) -> None:
        """Keeps quiet: the calls are recorded."""

    def _serve(self) -> None:
        self.close_connection = True
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query=parse_qs(url.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            data=self._body(),
        )
        answer = self.server.work(request)
        if answer is not None:
            self._send(*(answer if isinstance(answer, tuple) else _raw(answer)))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815  names of the standard library

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        length = min(int(self.headers.get("Content-Length") or 0), _LARGEST)
        return self.rfile.read(length) if length else b""

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _raw(answer: Answer) -> Raw:
    if answer.body is None:
        return answer.status, dict(answer.headers), b""
    if isinstance(answer.body, str):
        return answer.status, {"Content-Type": "text/plain", **answer.headers}, answer.body.encode()
    return answer.status, {"Content-Type": "application/json", **answer.headers}, json.dumps(answer.body).encode()
