"""What a merge request gets from the bot: a status at once, its check, a note, discussions, and a final status always.

Everything is found again from GitLab and Git, so it may be begun as often as one likes, and by several at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from penstock.errors import Conflict, NotFound, PenstockError
from penstock.forge.bot import Bot
from penstock.forge.check import Cancelled, Verdict, check_head
from penstock.forge.finding import findings_of, put_findings
from penstock.forge.note import put_verdict
from penstock.forge.status import State, is_final, newest_status, set_status

ROUNDS = 5
BEGINS = "the check is about to begin"
Check = Callable[[Bot, str, str, Cancelled], Verdict]
STATES: dict[str, State] = {"passed": "success", "failed": "failed", "errored": "failed"}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What became of one merge request's check; `head` is the commit that the verdict is about."""

    outcome: Literal["passed", "failed", "errored", "busy", "not asked", "known"]
    sentence: str
    head: str = ""


def check_request(bot: Bot, head: str, base: str, cancelled: Cancelled) -> Verdict:
    """The check as it is done outside of tests."""
    return check_head(bot.settings, head, base, limit_s=bot.check_s, cancelled=cancelled)


def review(
    bot: Bot,
    iid: int,
    *,
    again: bool = False,
    check: Check = check_request,
    cancelled: Cancelled = lambda: False,
) -> Reviewed:
    """Checks the head of a merge request unless it has its final status (`again`: even so), newest head last.

    While another process checks it, this one says `busy`. Raises what GitLab raises.
    """
    request = bot.connection.merge_request(iid)
    why = _why_not(bot, request)
    if why:
        return Reviewed("not asked", why)
    known = newest_status(bot.connection, request.sha, request.source_branch)
    if is_final(known) and not again:
        return Reviewed("known", str((known or {}).get("description", "")), request.sha)
    if known is None:  # what is pending already may end at this very moment
        set_status(bot.connection, request.sha, request.source_branch, "pending", BEGINS)
    try:
        with bot.locked("gitlab", f"merge-request-{iid}", f"the check of !{iid}"):
            return _rounds(bot, iid, check, cancelled)
    except Conflict as error:
        return Reviewed("busy", error.what, request.sha)


def _rounds(bot: Bot, iid: int, check: Check, cancelled: Cancelled) -> Reviewed:
    """Checks until the head that was checked is the one that stands."""
    for _ in range(ROUNDS):
        request = bot.connection.merge_request(iid)
        if request.state != "opened":
            return Reviewed("not asked", f"it is {request.state}", request.sha)
        done = _round(bot, request, check, cancelled)
        if cancelled() or bot.connection.merge_request(iid).sha == request.sha:
            break
    return done


def _round(bot: Bot, request: Any, check: Check, cancelled: Cancelled) -> Reviewed:
    """One head: a final status stands at the end, whatever happens on the way."""
    head, branch = request.sha, request.source_branch
    set_status(bot.connection, head, branch, "pending", BEGINS)
    verdict = Verdict("errored", "environment: the check was cut short")
    try:
        verdict = _checked(bot, request, check, cancelled)
        if bot.connection.merge_request(request.iid).sha == head:  # the newest head alone has the note
            put_verdict(bot, request, head, verdict)
            put_findings(bot, request, findings_of(verdict))
    except PenstockError as error:
        verdict = Verdict("errored", f"environment: it could not be shown: {error.what}")
    finally:
        set_status(bot.connection, head, branch, STATES[verdict.outcome], verdict.sentence)
    return Reviewed(verdict.outcome, verdict.sentence, head)


def _checked(bot: Bot, request: Any, check: Check, cancelled: Cancelled) -> Verdict:
    try:
        base = bot.workspace.fetch()
        bot.workspace.repository.resolve(request.sha)
    except NotFound:
        return Verdict("errored", f"environment: commit {request.sha[:12]} cannot be fetched")
    except PenstockError as error:
        return Verdict("errored", f"environment: {error.what}")
    return check(bot, request.sha, base, cancelled)


def _why_not(bot: Bot, request: Any) -> str:
    """Why a merge request is not checked; empty for one that is."""
    attributes = request.attributes
    if request.state != "opened":
        return f"it is {request.state}"
    if attributes.get("target_branch") != bot.settings.base_branch:
        return f"it does not go to {bot.settings.base_branch}"
    if attributes.get("source_project_id") != attributes.get("target_project_id"):
        return "it comes from a fork, whose code is not run here"
    if not attributes.get("sha"):
        return "it has no commit"
    if is_promotion(bot, attributes):
        return "it is a promotion, which its evidence and approvals decide"
    return ""


def is_promotion(bot: Bot, attributes: dict[str, Any]) -> bool:
    """Whether a merge request is a promotion: opened by the bot itself, from a branch of its own."""
    return bot.is_mine(attributes.get("author")) and str(attributes.get("source_branch")).startswith("penstock/")
