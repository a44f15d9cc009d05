"""Comments that speak to the bot: acknowledged with one emoji, done once, answered in a note.

What was done is known by the answer, which names the comment, and by the lock on the comment, whose record says so.
A crash between doing and answering does it again: every command finds its own traces first.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from penstock.errors import Conflict, NotFound, PenstockError, WrongUse
from penstock.forge.act import Asked, act, refusal_note
from penstock.forge.bot import Bot
from penstock.forge.command import HELP, is_call, parse
from penstock.forge.connection import Json
from penstock.forge.marker import harmless, is_marked, mark, marked_value
from penstock.forge.review import Reviewed
from penstock.release.clock import moment_of, now
from penstock.release.lock import Lock
from penstock.reporting.markdown import escape

KIND = "answer"
SEEN = "eyes"
ANSWERED = "answered"
OLDEST = timedelta(days=7)
"""A comment that nobody answered for so long is of another time: it is left alone."""
EDIT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Answered:
    """A comment that was answered now; `ok` = what it asked for was done."""

    note: int
    line: str
    ok: bool


def answer_comments(bot: Bot, iid: int, recheck: Callable[[], Reviewed]) -> list[Answered]:
    """Answers every comment of a merge request that speaks to the bot and has no answer yet, oldest first.

    `recheck` checks the merge request again. Raises `Unavailable` where GitLab or the release store is away: what was
    not answered is found again by the next call.
    """
    request = bot.connection.merge_request(iid)
    notes = bot.connection.all(request.notes, order_by="created_at", sort="asc")
    known = {
        marked_value(one["body"], KIND)
        for one in notes
        if bot.is_mine(one.get("author")) and is_marked(one.get("body", ""), KIND)
    }
    calls = [one for one in notes if one["id"] not in known | bot.finished and _is_call(bot, one)]
    answered = [_answer(bot, request, note, recheck) for note in calls]
    return [one for one in answered if one is not None]


def _is_call(bot: Bot, note: Json) -> bool:
    """Whether a comment is one to act on: a person's, not of long ago, and never edited."""
    if note.get("system") or bot.is_mine(note.get("author")) or not is_call(note.get("body", "")):
        return False
    written, changed = (moment_of(str(note.get(key, ""))) for key in ("created_at", "updated_at"))
    if written is None or now() - written > OLDEST:
        return False
    return changed is None or changed - written <= EDIT


def _answer(bot: Bot, request: Any, note: Json, recheck: Callable[[], Reviewed]) -> Answered | None:
    """None where another process has it, or had it."""
    line = note["body"].partition("\n")[0].strip()
    about = f"comment {note['id']} of !{request.iid} {hashlib.sha256(line.encode()).hexdigest()[:12]}"
    try:
        with bot.locked("gitlab", f"comment-{note['id']}", about) as lock:
            if _is_settled(lock, about):
                bot.finished.add(note["id"])
                return None
            _acknowledge(request, note)
            text, ok = _text(bot, request, note, line, recheck)
            lock.require()
            request.notes.create({"body": f"{mark(KIND, note['id'])}\n{_quoted(line)}\n\n{harmless(text)}"})
            lock.note(ANSWERED)
            bot.finished.add(note["id"])
            return Answered(note["id"], line, ok)
    except Conflict:
        return None


def _is_settled(lock: Lock, about: str) -> bool:
    """Whether it was answered already, or was begun when it said something else."""
    before = lock.before
    return before is not None and (before.reason == ANSWERED or before.about != about)


def _acknowledge(request: Any, note: Json) -> None:
    """One emoji at once; the second of the same kind, after a crash, is refused by GitLab."""
    try:
        request.notes.get(note["id"], lazy=True).awardemojis.create({"name": SEEN})
    except (Conflict, NotFound):
        return


def _text(bot: Bot, request: Any, note: Json, line: str, recheck: Callable[[], Reviewed]) -> tuple[str, bool]:
    """The answer, and whether what was asked for is done."""
    try:
        command = parse(line)
    except WrongUse as error:
        return f"Not understood: {escape(error.what, 500)}.\n\n{HELP}", False
    try:
        return act(Asked(bot, request, note, command, recheck)), True
    except PenstockError as error:  # also where the environment failed: whoever asked decides whether to ask again
        return refusal_note(error), False


def _quoted(line: str) -> str:
    return f"> {escape(line, 300)}"
