"""Approvals of a promotion's merge request, put on record as decisions on the evidence that its commit names.

An approval counts for one commit: it must have been given after that commit became the head. Whoever takes it back
while that commit is the head has said no, until they approve again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from penstock.contracts.evidence import Approval
from penstock.contracts.policy import Stage
from penstock.errors import PenstockError, Unavailable
from penstock.forge.account import FORGE, person_of
from penstock.forge.bot import Bot
from penstock.forge.connection import Json
from penstock.release.approval import decide
from penstock.release.clock import moment_of
from penstock.release.person import Person

Subject = tuple[str, str, Stage]


def record_approvals(bot: Bot, request: Any, subject: Subject, evidence: str) -> list[str]:
    """Records what people decided on the head of `request`; returns a sentence for each approval that does not count.

    `evidence` is what the head's commit names. Recording again changes nothing. Raises `Unavailable`.
    """
    since = _became_head(bot, request)
    approved = dict(request.approvals.get().attributes).get("approved_by") or []
    if since is None or bot.connection.merge_request(request.iid).sha != request.sha:
        return []  # the head moved meanwhile: whose approval this is can no longer be said
    tag = f"!{request.iid} at commit {request.sha[:12]}"
    newest = _newest(bot.workspace.releases.approvals(evidence))
    said = []
    standing = {_comment(tag, one["user"]) for one in approved}
    for one in approved:
        try:
            person = person_of(bot, one["user"])
            if _is_news(one, since, newest.get(person.mail)):
                _decide(bot, person, subject, "approve", evidence, _comment(tag, one["user"]))
        except Unavailable:
            raise
        except PenstockError as error:
            said.append(error.what)
    for gone in _taken_back(newest.values(), standing, tag):
        person = Person(gone.name, gone.who, FORGE)
        _decide(bot, person, subject, "reject", evidence, f"took back: {gone.comment}")
    return said


def _comment(tag: str, user: Json) -> str:
    """What a record says: by it an approval that is gone from GitLab is known again."""
    return f"approved {tag} as @{user.get('username', '')}"


def _decide(
    bot: Bot, person: Person, subject: Subject, kind: Literal["approve", "reject"], evidence: str, comment: str
) -> None:
    acting = bot.workspace.acting_as(person)
    try:
        decide(acting, subject, kind, evidence, comment)
    finally:
        acting.close()


def _became_head(bot: Bot, request: Any) -> datetime | None:
    """When the head of the merge request became that, by GitLab's clock; None if it is not the head any more."""
    versions = bot.connection.all(request.diffs)
    newest = max(versions, key=lambda one: int(one["id"]), default=None)
    if newest is None or newest.get("head_commit_sha") != request.sha:
        return None
    return moment_of(str(newest.get("created_at", "")))


def _newest(decisions: Iterable[Approval]) -> dict[str, Approval]:
    ordered = sorted(decisions, key=lambda one: (one.at, one.digest))
    return {one.who: one for one in ordered if one.kind in {"approve", "reject"}}


def _is_news(approved: Json, since: datetime, known: Approval | None) -> bool:
    """Whether an approval was given on this head, and after whatever its person has on record."""
    at = moment_of(str(approved.get("approved_at", "")))
    if at is None or at < since:
        return False
    recorded = moment_of(known.at) if known is not None else None
    return recorded is None or at > recorded


def _taken_back(decisions: Iterable[Approval], standing: set[str], tag: str) -> list[Approval]:
    mine = [one for one in decisions if one.kind == "approve" and one.identified_by == FORGE]
    return [one for one in mine if one.comment.startswith(f"approved {tag} ") and one.comment not in standing]
