"""The status of a commit that GitLab shows beside it: one of ours a branch, pending at once and final in the end.

GitLab keeps statuses per commit across all branches and from everybody: ours is the newest of our name on the branch
that we posted ourselves.
"""

from collections.abc import Mapping
from typing import Any, Literal

from penstock.errors import Conflict
from penstock.forge.connection import Connection, Json

NAME = "penstock"
LONGEST = 255
State = Literal["pending", "running", "success", "failed", "canceled"]
OPEN: frozenset[str] = frozenset({"pending", "running"})


def newest_status(connection: Connection, sha: str, ref: str) -> Json | None:
    """Our newest status of a commit on a branch; None if there is none."""
    manager = connection.project.commits.get(sha, lazy=True).statuses
    listed = connection.all(manager, name=NAME, ref=ref)
    ours = [one for one in listed if _is_ours(one, ref) and (one.get("author") or {}).get("id") == connection.me["id"]]
    return max(ours, key=lambda one: int(one["id"]), default=None)


def is_final(status: Mapping[str, Any] | None) -> bool:
    """Whether there is a status, and nobody waits for another."""
    return status is not None and status.get("status") not in OPEN


def set_status(connection: Connection, sha: str, ref: str, state: State, sentence: str, link: str = "") -> bool:
    """Posts the status unless it says so already; returns whether it was posted."""
    description = sentence if len(sentence) <= LONGEST else f"{sentence[: LONGEST - 1]}…"
    if _says(newest_status(connection, sha, ref), state, description):
        return False
    data = {"state": state, "name": NAME, "ref": ref, "description": description}
    try:
        connection.project.commits.get(sha, lazy=True).statuses.create(
            {**data, **({"target_url": link} if link else {})}
        )
    except Conflict:
        # GitLab moves no status to where it is already, nor back from running: both say what was meant.
        found = (newest_status(connection, sha, ref) or {}).get("status")
        if found != state and not (state == "pending" and found in OPEN):
            raise
        return False
    return True


def _is_ours(status: Mapping[str, Any], ref: str) -> bool:
    return status.get("name") == NAME and status.get("ref") == ref


def _says(status: Mapping[str, Any] | None, state: State, description: str) -> bool:
    return status is not None and status.get("status") == state and (status.get("description") or "") == description
