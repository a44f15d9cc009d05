"""Open promotions brought on: approvals recorded, merged once nothing stands in the way, ended when they are closed.

A merge is guarded three times: the commit must be a promotion that resolves and nothing else, the plan must be ready
at the base branch's present head, and GitLab merges that commit or none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from penstock.errors import Conflict, NotFound, PenstockError, Refused
from penstock.forge.approving import Subject, record_approvals
from penstock.forge.bot import Bot
from penstock.forge.marker import harmless, mark
from penstock.forge.note import put_note
from penstock.forge.promotion import KIND
from penstock.forge.status import State, set_status
from penstock.forge.subject import proposed
from penstock.registry.commit import Commit
from penstock.registry.git_command import git
from penstock.release.driver import plan_promotion, promote
from penstock.release.judge import Judge
from penstock.release.lifecycle import place_of
from penstock.release.lock import Lock
from penstock.release.move import Move
from penstock.release.plan import Plan
from penstock.release.publish import history_of
from penstock.release.reconcile import reconcile
from penstock.release.stages_file import stages_path
from penstock.release.workspace import Workspace
from penstock.reporting.markdown import escape

Propose = Callable[[Workspace, Subject], object]
"""Makes the promotion's commit anew, on the base branch's head, and moves its branch there."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one promotion's merge request."""

    iid: int
    outcome: Literal["merged", "waiting", "refused", "proposed again", "closed", "busy"]
    sentence: str


def propose_again(workspace: Workspace, subject: Subject) -> object:
    """The promotion asked for once more: under `merge-request` that renews the proposal. The driver alone does."""
    if workspace.settings.driver != "ci":
        return None
    acting = workspace.acting_alone()
    try:
        return promote(acting, subject)
    finally:
        acting.close()


def settle(bot: Bot, iid: int, propose: Propose = propose_again) -> Settled:
    """Brings one open promotion as far as it may go now. Doing it again changes nothing more."""
    bot.workspace.fetch()
    request = bot.connection.merge_request(iid)
    subject = proposed(bot, request)
    if subject is None:
        return _tell(bot, request, "refused", ["its head is no promotion that Penstock wrote: close it"], [])
    agent, version, stage = subject
    try:
        with bot.locked(agent, stage, f"promotion !{iid} of {agent}@{version}") as lock:
            return _settle(bot, request, subject, lock, propose)
    except Conflict as error:
        return Settled(iid, "busy", error.what)


def _settle(bot: Bot, request: Any, subject: Subject, lock: Lock, propose: Propose) -> Settled:
    move = Move.of(bot.workspace.repository.commit(request.sha), subject[0])
    assert move is not None, "`proposed` found one"
    void = record_approvals(bot, request, subject, move.evidence)
    planned = plan_promotion(bot.workspace, subject)
    if place_of(planned.situation.stages, subject[1]) == subject[2]:
        return _close(bot, request, f"{subject[0]}@{subject[1]} stands in {subject[2]} already")
    view = planned.situation.view
    if view is not None and view.digest != move.evidence:
        return _renew(bot, request, subject, propose, f"other evidence counts now: {view.digest}")
    if not planned.ready:
        return _tell(bot, request, "waiting", [one.sentence for one in planned.unmet], void, planned)
    why = _why_not(bot.workspace, subject, request.sha)
    if why:
        return _renew(bot, request, subject, propose, why)
    return _merge(bot, request, subject, lock, propose)


def _why_not(workspace: Workspace, subject: Subject, sha: str) -> str:
    """Why the commit must not be merged as it is; empty if it is one promotion that resolves, on the base branch."""
    repository, path = workspace.repository, stages_path(subject[0])
    commit, head = repository.commit(sha), workspace.base_head()
    if not _is_alone(workspace, commit, path, head):
        return "it brings more than the one stages file"
    if repository.blob_id(commit.parents[0], path) != repository.blob_id(head, path):
        return f"the stages file moved on {workspace.settings.base_branch} meanwhile"
    judge = Judge(workspace, workspace.releases.newest_table())
    unresolved = history_of(workspace, judge, subject[0], sha).unresolved
    return unresolved[0].why if unresolved else ""


def _is_alone(workspace: Workspace, commit: Commit, path: str, head: str) -> bool:
    """Whether merging the commit brings this one file and no commit beside it."""
    repository = workspace.repository
    if len(commit.parents) != 1 or not repository.is_ancestor(commit.parents[0], head):
        return False
    if set(repository.changes(commit.parents[0], commit.id)) != {path}:
        return False
    everywhere = git(repository.root, ["diff-tree", "-r", "--name-only", "-z", commit.parents[0], commit.id])
    return everywhere.status == 0 and everywhere.out.count("\0") == 1


def _merge(bot: Bot, request: Any, subject: Subject, lock: Lock, propose: Propose) -> Settled:
    fresh = bot.connection.merge_request(request.iid)
    if fresh.sha != request.sha:
        return Settled(request.iid, "waiting", f"its head moved to {fresh.sha} meanwhile")
    if _squashes(bot, fresh):
        return _tell(bot, fresh, "refused", ["the project squashes: a promotion's commit must stay as it is"], [])
    _show(bot, fresh, "success", "nothing stands in the way")
    lock.require()
    try:
        fresh.merge(sha=request.sha, should_remove_source_branch=True)
    except (Conflict, Refused) as error:
        parent = bot.workspace.repository.commit(request.sha).parents[0]
        if isinstance(error, Conflict) and parent != bot.workspace.fetch():
            return _renew(bot, fresh, subject, propose, error.what)
        return _tell(bot, fresh, "waiting", [error.what], [])
    done = reconcile(bot.workspace, actor=bot.settings.bot_email, moves=False)
    return Settled(request.iid, "merged", f"routing table {done.generation} is in force")


def _squashes(bot: Bot, request: Any) -> bool:
    """Whether GitLab would make another commit of the promotion's, whose trailers would be lost."""
    option = bot.connection.project.attributes.get("squash_option")
    asked = request.attributes.get("squash_on_merge") or request.attributes.get("squash")
    return option == "always" or (bool(asked) and option != "never")


def _renew(bot: Bot, request: Any, subject: Subject, propose: Propose, why: str) -> Settled:
    """Has the promotion proposed anew; the next look judges the new head."""
    try:
        propose(bot.workspace, subject)
    except PenstockError as error:
        return _tell(bot, request, "waiting", [why, error.what], [])
    return Settled(request.iid, "proposed again", why)


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
    _note(bot, request, f"**{outcome}**\n\n" + "\n".join(lines))
    return Settled(request.iid, outcome, "; ".join(why))


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
    agent, stage = branch.split("/")[1:3]
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
