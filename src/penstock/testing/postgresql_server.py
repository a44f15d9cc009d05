"""A PostgreSQL of a test's own, which may be killed, stopped and started again at its address."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

PATIENCE_S = 30.0
OWNER = "postgres"
"""Who runs it where the test is root's: PostgreSQL refuses to be root's."""
# A kill of the processes loses nothing that was handed to the kernel: no fsync is needed to come back whole.
_OPTIONS = ("fsync=off", "listen_addresses=127.0.0.1", "max_connections=100", "shared_buffers=16MB")


class PostgresqlServer:
    """A server on a free port of the loopback, with an empty database `penstock`; what it held comes back with it.

    A context: it runs inside it. Raises `AssertionError` where PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._folder = Path(tempfile.mkdtemp(prefix="penstock-postgres-", dir="/tmp"))  # where its owner can go too
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = OWNER if os.geteuid() == 0 else None

    def __enter__(self) -> "PostgresqlServer":
        try:
            if self._owner is not None:
                shutil.chown(self._folder, self._owner, self._owner)
            words = [_program("initdb"), "-D", str(self._data), "-A", "trust", "-U", "penstock", "--no-sync"]
            subprocess.run(
                [*words, "--no-instructions"],
                check=True, stdout=subprocess.DEVNULL, user=self._owner, group=self._owner,
            )  # fmt: skip
            self.start()
            words = [_program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "penstock", "penstock"]
            subprocess.run(words, check=True)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, port: int | None = None) -> str:
        """Its database, by way of a proxy's port if one is given."""
        return f"postgresql://penstock@127.0.0.1:{port or self.port}/penstock"

    def start(self) -> None:
        """Starts it, and returns once it answers."""
        options = [f"unix_socket_directories={self._folder}", *_OPTIONS]
        words = [_program("postgres"), "-D", str(self._data), "-p", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*words, *(word for option in options for word in ("-c", option))],
                stdout=log, stderr=log, start_new_session=True, user=self._owner, group=self._owner,
            )  # fmt: skip
        limit = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert time.monotonic() < limit, (self._folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Lets all its processes hang: connections stay, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it go on where it hung."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends all its processes at once, as a machine that loses its power."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _answers(self) -> bool:
        words = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(words).returncode == 0

    def _signal(self, number: int) -> None:
        """To the postmaster, and to its children, each of which leads a group of its own."""
        assert self._process is not None
        pid = self._process.pid
        for one in (pid, *_children(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _program(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = shutil.which(name, path=str(folders[-1])) if folders else shutil.which(name)
    assert found, "PostgreSQL must be installed for tests with the marker `servers`"
    return found
