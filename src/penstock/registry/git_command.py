"""The git program: for what needs credentials, hooks and the user's own configuration (fetch, push, identity)."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import Unavailable

LONGEST_S = 120

# A hook's surroundings would point git at another repository than the one that is meant.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_COMMON_DIR")


@dataclass(frozen=True, slots=True)
class Answer:
    """How git ended and what it said."""

    status: int
    out: str
    words: str


def git(root: Path, arguments: Sequence[str], *, timeout_s: float = LONGEST_S) -> Answer:
    """Runs git in `root` without ever asking a person; raises `Unavailable` if it cannot be run or hangs."""
    surroundings = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    surroundings |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            env=surroundings,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable("git is not installed", where="PATH", now="install git") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"git {arguments[0]} gave no answer within {timeout_s:g} s", where=str(root), now="try again"
        ) from None
    out, words = done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "replace").strip()
    return Answer(done.returncode, out, words)
