"""Open proposals brought on: approvals recorded, merged once nothing stands in the way, ended when they are closed.

A merge is guarded three times: the commit must be one move that resolves and nothing else, the plan of a promotion must
be ready at the base branch's present head, and GitLab merges that commit or none.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from penstock.errors import Conflict, NotFound, PenstockError, Refused
from penstock.forge.approving import record_approvals
from penstock.forge.bot import Bot
from penstock.forge.marker import harmless, mark
from penstock.forge.note import put_note
from penstock.forge.promotion import KIND
from penstock.forge.status import State, set_status
from penstock.forge.subject import proposal_of, proposed
from penstock.registry.commit import Commit
from penstock.release.driver import plan_promotion, promote
from penstock.release.lifecycle import place_of
from penstock.release.lock import Lock
from penstock.release.move import Move
from penstock.release.person import DRIVER, Person
from penstock.release.plan import Plan
from penstock.release.proposed import why_not_merge, why_outdated
from penstock.release.reconcile import reconcile
from penstock.release.workspace import Workspace
from penstock.reporting.markdown import escape

Propose = Callable[[Workspace, Move], object]
"""Makes the move's commit anew, on the base branch's head, and puts its branch there."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one proposal's merge request."""

    iid: int
    outcome: Literal["merged", "waiting", "refused", "proposed again", "closed", "busy"]
    sentence: str


def propose_again(workspace: Workspace, move: Move) -> object:
    """Asks once more for what whoever asked first was let ask for: where moves go by merge requests, that renews it.

    Under driver = dagster the sensor does so, and an urgent change is proposed by `reconcile`.
    """
    if workspace.settings.driver != "ci" or move.action != "promote" or move.stage is None or move.override:
        return None
    by = move.by or workspace.settings.bot_email
    acting = workspace.acting_as(Person(by, by, DRIVER))
    try:
        return promote(acting, (move.agent, move.version, move.stage))
    finally:
        acting.close()


def settle(bot: Bot, iid: int, propose: Propose = propose_again) -> Settled:
    """Brings one open proposal as far as it may go now. Doing it again changes nothing more."""
    bot.workspace.fetch()
    request = bot.connection.merge_request(iid)
    if request.state != "opened":
        return Settled(iid, "closed", f"it is {request.state}")
    move = proposed(bot, request)
    if move is None:
        return _tell(bot, request, "refused", ["its head is no move that Penstock wrote: close it"], [])
    move = replace(move, by=asked_by(bot.workspace.repository.commit(request.sha)))
    try:
        with bot.locked(move.agent, move.stage or move.action, f"!{iid}: {move.sentence}") as lock:
            return _settle(Proposed(bot, request, move, lock, propose))
    except Conflict as error:
        return Settled(iid, "busy", error.what)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal that is looked at: its merge request as it was read, its move, and the lock on that."""

    bot: Bot
    request: Any
    move: Move
    lock: Lock
    propose: Propose


def _settle(one: Proposed) -> Settled:
    bot, move = one.bot, one.move
    void: list[str] = []
    planned = None
    if move.action == "promote" and move.stage is not None:
        subject = (move.agent, move.version, move.stage)
        void = record_approvals(bot, one.request, subject, move.evidence)
        planned = plan_promotion(bot.workspace, subject)
        if place_of(planned.situation.stages, move.version) == move.stage:
            return _close(bot, one.request, f"{move.agent}@{move.version} stands in {move.stage} already")
        view = planned.situation.view
        if view is not None and view.digest != move.evidence:
            return _renew(one, f"other evidence counts now: {view.digest}")
    outdated = why_outdated(bot.workspace, move.agent, one.request.sha)
    if outdated is not None:
        return _renew(one, outdated)
    why = why_not_merge(bot.workspace, move.agent, one.request.sha)
    unmet = [condition.sentence for condition in planned.unmet] if planned is not None and not move.override else []
    if why is not None or unmet:
        return _tell(bot, one.request, "waiting", unmet or [str(why)], void, planned)
    return _merge(one)


def _merge(one: Proposed) -> Settled:
    bot, request = one.bot, one.request
    fresh = bot.connection.merge_request(request.iid)
    if fresh.sha != request.sha:
        return Settled(request.iid, "waiting", f"its head moved to {fresh.sha} meanwhile")
    if _squashes(bot, fresh):
        return _tell(bot, fresh, "refused", ["the project squashes: a promotion's commit must stay as it is"], [])
    _show(bot, fresh, "success", "nothing stands in the way")
    one.lock.require()
    try:
        fresh.merge(sha=request.sha, should_remove_source_branch=True)
    except (Conflict, Refused) as error:
        return _tell(bot, fresh, "waiting", [error.what], [])
    done = reconcile(bot.workspace, actor=bot.settings.bot_email, moves=False)
    return Settled(request.iid, "merged", f"routing table {done.generation} is in force")


def _squashes(bot: Bot, request: Any) -> bool:
    """Whether GitLab would make another commit of the promotion's, whose trailers would be lost."""
    option = bot.connection.project.attributes.get("squash_option")
    asked = request.attributes.get("squash_on_merge") or request.attributes.get("squash")
    return option == "always" or (bool(asked) and option != "never")


def _renew(one: Proposed, why: str) -> Settled:
    """Has it proposed anew; the next look judges the new head."""
    before = one.bot.connection.merge_request(one.request.iid).sha
    try:
        one.propose(one.bot.workspace, one.move)
    except PenstockError as error:
        return _tell(one.bot, one.request, "waiting", [why, error.what], [])
    if one.bot.connection.merge_request(one.request.iid).sha == before:
        return _tell(one.bot, one.request, "waiting", [why], [])
    return Settled(one.request.iid, "proposed again", why)


def asked_by(commit: Commit) -> str:
    """Whoever asked for a move, as its commit's message says; empty if it does not."""
    found = re.search(r"^Asked for by (\S+)\.$", commit.message, re.MULTILINE)
    return found[1] if found else ""


def _tell(
    bot: Bot,
    request: Any,
    outcome: Literal["waiting", "refused"],
    why: list[str],
    void: list[str],
    planned: Plan | None = None,
) -> Settled:
    """Shows where the promotion stands: a status on its head, and the one note."""
    _show(bot, request, "pending" if outcome == "waiting" else "failed", f"{outcome}: {why[0]}")
    approvals = planned.approvals if planned is not None else ()
    lines = [f"- in the way: {escape(one, 1_000)}" for one in why]
    lines += [f"- approved by {escape(one.name)} {escape(one.who)} at {escape(one.at)}" for one in approvals]
    lines += [f"- does not count: {escape(one, 500)}" for one in void]
    lines += _report_link(bot, planned)
    _note(bot, request, f"**{outcome}**\n\n" + "\n".join(lines))
    return Settled(request.iid, outcome, "; ".join(why))


def _report_link(bot: Bot, planned: Plan | None) -> list[str]:
    """The report on the evidence, where the executor serves it."""
    view = planned.situation.view if planned is not None else None
    executor = bot.settings.executor_url.rstrip("/")
    if view is None or not executor:
        return []
    place = f"reports/{view.agent}/{view.version}/{view.digest.removeprefix('sha256:')}/report.html"
    return [f"- [the report]({executor}/v1/{place})"]


def _show(bot: Bot, request: Any, state: State, sentence: str) -> None:
    set_status(bot.connection, request.sha, request.source_branch, state, sentence)


def _note(bot: Bot, request: Any, text: str) -> None:
    put_note(bot, request, KIND, f"{mark(KIND)}\n{harmless(text)}\n")


def _close(bot: Bot, request: Any, why: str) -> Settled:
    _show(bot, request, "success", why)
    _note(bot, request, f"**closed**: {escape(why)}")
    bot.connection.project.mergerequests.update(request.iid, {"state_event": "close"})
    return Settled(request.iid, "closed", why)


def end_closed(bot: Bot, iid: int) -> Settled | None:
    """Ends a promotion that somebody closed: its branch goes, open requests are refused; None if that was done."""
    request = bot.connection.merge_request(iid)
    branch = str(request.source_branch)
    about = proposal_of(branch)
    if about is None:
        return None
    agent, stage = about
    opened = bot.connection.merge_requests(state="opened", source_branch=branch)
    if request.state != "closed" or opened or not _branch_is(bot, branch, request.sha):
        return None
    by = (request.attributes.get("closed_by") or {}).get("username", "somebody")
    why = f"closed by {by}: the promotion to {stage} has ended"
    _refuse_requests(bot, agent, stage, why)
    _note(bot, request, f"**closed** by {escape(by)}: the promotion has ended and its branch is deleted")
    bot.connection.project.branches.delete(branch)
    return Settled(iid, "closed", why)


def _branch_is(bot: Bot, branch: str, sha: str) -> bool:
    try:
        found = bot.connection.project.branches.get(branch)
    except NotFound:
        return False
    return (found.attributes.get("commit") or {}).get("id") == sha


def _refuse_requests(bot: Bot, agent: str, stage: str, why: str) -> None:
    """What the driver would propose again otherwise."""
    releases = bot.workspace.releases
    answered = releases.answers()
    for one in releases.requests():
        if (one.agent, one.stage) == (agent, stage) and one.digest not in answered:
            releases.put_answer(one.digest, "refused", why)
