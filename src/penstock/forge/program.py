"""A program of the branch's, run on a leash: its time, its output and everything that it started are bounded."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from penstock.errors import Unavailable

LOOK_S = 0.2
MOST_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended (None: it was ended from here, and `why` says so) and what it said."""

    status: int | None
    out: bytes
    err: str
    why: str = ""


def run_program(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    until: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> Ended:
    """Runs `command` in `folder` until it ends, `until` (monotonic seconds) or until `cancelled`.

    Nothing of its process group outlives this call. Raises `Unavailable` when it cannot be started.
    """
    out, err = (folder / ".out").open("w+b"), (folder / ".err").open("w+b")
    with out, err:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"cannot be started: {error.strerror}", where=command[0], now="see its rights") from None
        why = ""
        try:
            why = _wait(process, until, cancelled)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        return Ended(None if why else status, _tail(out, MOST_BYTES), _tail(err, 4_000).decode("utf-8", "replace"), why)


def _wait(process: "subprocess.Popen[bytes]", until: float, cancelled: Callable[[], bool]) -> str:
    """Why it had to be ended; empty when it ended by itself."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            return ""
        if cancelled():
            return "it was cancelled"
        if time.monotonic() >= until:
            return "it took longer than it may"


def _tail(file: IO[bytes], most: int) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - most))
    return file.read()
