"""The git program: for what needs credentials, hooks and the user's own configuration (fetch, push, identity)."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import Unavailable

LONGEST_S = 120
_ends: ContextVar[float] = ContextVar("git_ends", default=float("inf"))

# A hook's surroundings would point git at another repository than the one that is meant.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True)
class Answer:
    """How git ended and what it said."""

    status: int
    out: str
    words: str


@contextlib.contextmanager
def git_within(seconds: float) -> Iterator[None]:
    """All git commands inside are over within `seconds` together: one that is not is ended and `Unavailable`."""
    before = _ends.set(min(_ends.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _ends.reset(before)


def git(root: Path, arguments: Sequence[str], *, timeout_s: float = LONGEST_S) -> Answer:
    """Runs git in `root` without ever asking a person; raises `Unavailable` if it cannot be run or hangs."""
    surroundings = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    surroundings |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    patience_s = max(0.0, min(timeout_s, _ends.get() - time.monotonic()))
    try:
        process = subprocess.Popen(
            ["git", "-C", str(root), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=surroundings,
            start_new_session=True,  # a helper that talks to a remote which hangs is ended with it
        )
    except FileNotFoundError:
        raise Unavailable("git is not installed", where="PATH", now="install git") from None
    with process:
        try:
            out, words = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            _end(process)
            raise Unavailable(
                f"git {arguments[0]} gave no answer within {patience_s:.1f} s", where=str(root), now="try again"
            ) from None
        except BaseException:
            _end(process)
            raise
    return Answer(process.returncode, out.decode("utf-8", "surrogateescape"), words.decode("utf-8", "replace").strip())


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
