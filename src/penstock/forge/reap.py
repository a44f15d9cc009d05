"""Statuses that nobody will ever end: of heads that were replaced, and of requests that were closed meanwhile."""

from typing import Any

from penstock.forge.bot import Bot
from penstock.forge.status import is_final, newest_status, set_status
from penstock.release.lock import last_record

LAST = 5
"""How many heads of a merge request are looked at."""


def reap(bot: Bot, request: Any) -> list[str]:
    """Ends what is still pending of earlier heads, and of the head itself once the request is not open.

    Whatever another process checks at this moment is left to it. Returns the commits whose status was ended.
    """
    lock = last_record(bot.workspace.releases.objects, "gitlab", f"merge-request-{request.iid}")
    if lock is not None and not lock.is_free:
        return []
    versions = sorted(bot.connection.all(request.diffs), key=lambda one: int(one["id"]))[-LAST:]
    heads = dict.fromkeys(str(one["head_commit_sha"]) for one in versions)
    open_head = request.sha if request.state == "opened" else None
    return [head for head in heads if head not in {open_head, *bot.final} and _end(bot, request, head)]


def _end(bot: Bot, request: Any, head: str) -> bool:
    """Whether a status had to be ended."""
    status = newest_status(bot.connection, head, request.source_branch)
    bot.final.add(head)
    if status is None or is_final(status):
        return False
    why = f"a newer commit took its place: {request.sha[:12]}" if head != request.sha else f"it is {request.state}"
    return set_status(bot.connection, head, request.source_branch, "canceled", f"not checked to the end: {why}")
