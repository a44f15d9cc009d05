"""The near side of a worker: starts it, asks it one thing at a time, kills it with everything that it started."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from penstock.pal import ToolFailed
from penstock.tools.code import ToolCode

RESULT_BYTES = 1024 * 1024
"""Most bytes of a result, as JSON."""
MEMORY_BYTES = 2 * 1024 * 1024 * 1024
"""Most address space of a worker."""
LAST_LINES, LINE_BYTES = 5, 500
# What of this process's environment a worker sees. No secret is among it: those come with a call, by declared name.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


class WorkerProcess:
    """One worker, for one tool's code; `hear` receives each line that it prints.

    `load` and `ask` block; `stop` may come from any thread and ends them. Raises `ToolFailed` if it cannot start.
    """

    def __init__(self, code: ToolCode, hear: Callable[[str], None]) -> None:
        self.code = code
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._words: deque[str] = deque(maxlen=LAST_LINES)
        self._process = self._started()
        self._listener = threading.Thread(target=self._listen, args=(hear,), name="penstock-tool-log", daemon=True)
        self._listener.start()

    def _started(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        command = [sys.executable, "-I", "-m", "penstock.tools.worker"]
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
            )
        except OSError as error:
            what = f"its worker process cannot be started: {error.strerror}"
            raise ToolFailed(what, where=self.code.ref, now="see `agentctl doctor`") from None

    def load(self) -> None:
        """Has the worker import the tool; raises `ToolFailed` with what the import said."""
        code = self.code
        start = {"folder": str(code.folder), "package": code.package, "entry": code.entry}
        self._exchange({**start, "memoryBytes": MEMORY_BYTES, "resultBytes": RESULT_BYTES})

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The tool's result; raises `ToolFailed` when it raised, when the process ended, or when it was stopped."""
        return self._exchange(request).get("result")

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked: a worker that ended, or that says something unasked, cannot."""
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)  # type: ignore[arg-type]
        return not self._stopped.is_set() and not poll.poll(0)

    def stop(self) -> None:
        """Kills the worker and its process group; does not wait for their end."""
        with self._lock:
            self._stopped.set()
            if self._process.returncode is None:  # only `close` reaps, so the group's number is still this one's
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Stops the worker, waits for its end and frees its pipes; nobody may be asking it."""
        self.stop()
        with self._lock:
            self._process.wait()
        self._listener.join(timeout=1)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(orjson.dumps(request) + b"\n")
            stdin.flush()
            answer = orjson.loads(stdout.readline(2 * RESULT_BYTES))
        except (OSError, ValueError):
            raise self._ended() from None
        if "error" in answer:
            raise ToolFailed(
                str(answer["error"]),
                where=self.code.ref,
                retryable=answer.get("retryable") is True,
                retry_after_s=answer.get("retryAfterS"),
            )
        return answer  # type: ignore[no-any-return]

    def _ended(self) -> ToolFailed:
        """What to say of a worker that gave no answer: it was stopped, or it crashed, and with which last words."""
        if self._stopped.is_set():
            return ToolFailed("it was stopped", where=self.code.ref)
        self.stop()
        status = self._process.wait()
        self._listener.join(timeout=1)
        cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        words = f": {' | '.join(self._words)}" if self._words else ""
        return ToolFailed(f"its process ended with {cause}{words}", where=self.code.ref, now="see the tool's code")

    def _listen(self, hear: Callable[[str], None]) -> None:
        """Passes on what the worker prints, cut into lines of bounded length, and keeps the last ones."""
        stderr = self._process.stderr
        assert stderr is not None
        while line := stderr.readline(LINE_BYTES):
            words = line.decode("utf-8", "replace").strip()
            if words:
                self._words.append(words)
                hear(words)
