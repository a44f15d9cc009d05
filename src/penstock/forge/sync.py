"""One look at everything: what webhooks tell, found again from GitLab and Git. Looking again changes nothing more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from penstock.errors import PenstockError, Unavailable
from penstock.forge.answer import OLDEST, answer_comments
from penstock.forge.bot import Bot
from penstock.forge.check import Cancelled
from penstock.forge.connection import Json
from penstock.forge.deployment import put_deployments
from penstock.forge.reap import reap
from penstock.forge.review import Check, Reviewed, check_request, is_promotion, review
from penstock.forge.settle import Propose, end_closed, propose_again, settle
from penstock.release.clock import moment_of, now, stamp
from penstock.release.reconcile import reconcile

T = TypeVar("T")
SLACK = timedelta(hours=1)


@dataclass(slots=True)
class Synced:
    """What one look did, in sentences, and what kept it from doing more."""

    done: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def exit_status(self) -> int:
        """3 where the environment failed, 1 where something else stood in the way, else 0."""
        return Unavailable.exit_code if self.failed else int(bool(self.problems))

    def as_document(self) -> dict[str, Any]:
        """The look as a JSON object."""
        return {"done": self.done, "problems": self.problems}


@dataclass(frozen=True, slots=True)
class Steps:
    """What a look does where tests do something else: the check of a head, and proposing a promotion anew."""

    check: Check = check_request
    propose: Propose = propose_again


def sync(bot: Bot, *, steps: Steps | None = None, cancelled: Cancelled = lambda: False) -> Synced:
    """Comments first, as they may be urgent; then what is in force, promotions, checks and statuses, deployments.

    One part that fails keeps no other from being done.
    """
    found, take = Synced(), steps or Steps()
    requests = _try(found, "merge requests", lambda: _requests(bot)) or []
    for one in requests:
        if one.is_recent:
            look_at_comments(bot, one.iid, take, found, cancelled)
    bring_together(bot, found)
    for one in requests:
        if cancelled():
            break
        if one.is_promotion:
            look_at_promotion(bot, one.iid, take, found)
        else:
            look_at_request(bot, one.iid, take, found, cancelled)
    tell_deployments(bot, found)
    return found


def bring_together(bot: Bot, found: Synced) -> None:
    """Reconciles table and base branch, with the automatic moves where this side is the driver."""
    done = _try(found, "reconcile", lambda: reconcile(bot.workspace, moves=bot.settings.driver == "ci"))
    if done is not None:
        found.done += done.done
        found.done += [f"{one.agent}@{one.version} is moved to {one.stage}" for one in done.moves if one.moved]
        found.problems += done.drift


def look_at_comments(bot: Bot, iid: int, steps: Steps, found: Synced, cancelled: Cancelled) -> None:
    """Answers the comments of one merge request."""

    def recheck() -> Reviewed:
        return review(bot, iid, again=True, check=steps.check, cancelled=cancelled)

    answered = _try(found, f"comments of !{iid}", lambda: answer_comments(bot, iid, recheck))
    found.done += [f"!{iid}: answered {one.line!r}" for one in answered or ()]


def look_at_promotion(bot: Bot, iid: int, steps: Steps, found: Synced) -> None:
    """Brings one promotion on, or ends it."""

    def look() -> list[str]:
        state = bot.connection.merge_request(iid).state
        if state == "opened":
            settled = settle(bot, iid, steps.propose)
            return [f"!{iid}: {settled.outcome}: {settled.sentence}"]
        ended = end_closed(bot, iid) if state == "closed" else None
        return [f"!{iid}: {ended.sentence}"] if ended is not None else []

    found.done += _try(found, f"promotion !{iid}", look) or []


def look_at_request(bot: Bot, iid: int, steps: Steps, found: Synced, cancelled: Cancelled) -> None:
    """Checks one merge request if that is to be done, and ends statuses that nobody else will."""

    def look() -> list[str]:
        reviewed = review(bot, iid, check=steps.check, cancelled=cancelled)
        ended = reap(bot, bot.connection.merge_request(iid))
        said = [f"!{iid}: ended the status of {one[:12]}" for one in ended]
        return said if reviewed.outcome in {"known", "not asked"} else [f"!{iid}: {reviewed.outcome}", *said]

    found.done += _try(found, f"check of !{iid}", look) or []


def tell_deployments(bot: Bot, found: Synced) -> None:
    """Brings environments and deployments up to date."""
    told = _try(found, "deployments", lambda: put_deployments(bot))
    found.done += [f"{one.environment}: {one.version}" for one in told or ()]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A merge request that is looked at; its comments only if something of it changed lately."""

    iid: int
    is_promotion: bool
    is_recent: bool


def _requests(bot: Bot) -> list[_Listed]:
    """What is open, and what changed lately; each once."""
    branch, since = bot.settings.base_branch, now() - OLDEST - SLACK
    listed = bot.connection.merge_requests(state="opened", target_branch=branch)
    listed += bot.connection.merge_requests(state="all", target_branch=branch, updated_after=stamp(since))
    found = {one["iid"]: one for one in listed}.values()
    return [_Listed(int(one["iid"]), is_promotion(bot, one), _changed_after(one, since)) for one in found]


def _changed_after(request: Json, since: datetime) -> bool:
    changed = moment_of(str(request.get("updated_at", "")))
    return changed is None or changed >= since


def _try(found: Synced, what: str, part: Callable[[], T]) -> T | None:
    try:
        return part()
    except PenstockError as error:
        found.problems.append(f"{what}: {error.what}")
        found.failed = found.failed or isinstance(error, Unavailable)
        return None
