"""A Redis of a test's own, which may be killed, stopped and started again at its address."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

PATIENCE_S = 20.0


class RedisServer:
    """A process on a free port of the loopback, without persistence: what it held is gone once it is killed.

    A context: it runs inside it. Raises `AssertionError` where Redis is not installed.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Starts it, and returns once it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server must be installed for tests with the marker `servers`"
        words = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*words, "--dir", str(self._folder)], stdout=log, stderr=log)
        limit = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < limit, (self._folder / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """Lets it hang: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it go on where it hung; it then does what came in meanwhile."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> bytes:
        """What it answers to one command, as it stands on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.sendall(f"*{len(words)}\r\n".encode() + b"".join(map(_bulk, words)))
            return connection.recv(1 << 16)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)


def _bulk(word: str) -> bytes:
    data = word.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)
