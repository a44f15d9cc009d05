"""Apply: what a plan says, done; the only place that commits a promotion.

Evidence and approvals are read again at every head of the branch that the commit is tried on; nothing is measured.
"""

from dataclasses import dataclass

from penstock.contracts.policy import Stage
from penstock.errors import Conflict, Refused
from penstock.gates.evidence import EvidenceView
from penstock.registry.resolve import resolve
from penstock.release.committing import Written, commit_stages
from penstock.release.condition import OVERRIDABLE, Kind
from penstock.release.crash_point import step
from penstock.release.entries import store_release
from penstock.release.move import Move, approved_by
from penstock.release.plan import Plan, plan
from penstock.release.plan_view import plan_markdown
from penstock.release.proposal import Proposal
from penstock.release.publish import Cause, Published, publish_head
from penstock.release.situation import read_situation
from penstock.release.stages_file import write_stages
from penstock.release.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Override:
    """A release manager's logged decision to go on without evidence or approval: its request's digest and reason."""

    request: str
    reason: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A promotion that is done: its plan, its commit, and the table in force.

    With a `proposal` it is not done yet: its commit waits in a merge request, and the table is as it was.
    """

    plan: Plan
    commit: str
    published: Published
    proposal: Proposal | None = None


def apply_plan(workspace: Workspace, planned: Plan, actor: str, override: Override | None = None) -> Applied:
    """Does what `planned` says, or nothing: evidence again, commit, push, publish.

    Where the project moves by merge requests it is proposed, and approvals may still be missing. Raises `Refused`
    with every unmet condition, `Conflict` when the stages file has moved since the plan or a result is not what was
    stored, `Invalid` or `NotFound` when it is damaged or gone.
    """
    of = planned.situation
    lifted = lifted_kinds(workspace, override=override is not None)
    require_ready(planned, lifted)
    _store(workspace, of.head, of.agent, of.version)
    final = [planned]

    def write(head: str) -> Written:
        again = plan(read_situation(workspace, of.agent, of.version, of.stage, head))
        require_ready(again, lifted)
        _require_same_evidence(planned.situation.view, again.situation.view)
        assert again.after is not None
        final[0] = again
        if again.situation.view is not None:
            if override is None:
                _require_as_stored(workspace, again.situation.view)
            workspace.records.put_evidence(again.situation.view.evidence)
        step("evidence read again")
        move, at = _move(again, actor, override), again.situation.now
        return Written(write_stages(of.agent, again.after), move, plan_markdown(again), at)

    delivered = commit_stages(workspace, of.agent, of.blob, write)
    if delivered.proposal is not None:
        return Applied(final[0], delivered.commit, Published(workspace.releases.newest_table()), delivered.proposal)
    reason = f"{of.agent}@{of.version} to {of.stage}"
    published = publish_head(workspace, workspace.base_head(), Cause("promote", actor, reason))
    return Applied(final[0], delivered.commit, published)


def lifted_kinds(workspace: Workspace, *, override: bool) -> frozenset[Kind]:
    """The kinds of conditions that need not be met before the commit: an override's, or what a merge waits for."""
    if override:
        return OVERRIDABLE
    return frozenset({"approval"}) if workspace.settings.promotion == "merge-request" else frozenset()


def require_ready(planned: Plan, lifted: frozenset[Kind] = frozenset()) -> None:
    """Raises `Refused` with every condition that stands in the way, less those of kinds that are `lifted`."""
    blocking = planned.blocking(lifted)
    if not blocking:
        return
    of = planned.situation
    raise Refused(
        f"{of.agent}@{of.version} may not go to {of.stage}:\n" + "\n".join(f"  - {sentence}" for sentence in blocking),
        now=f"`agentctl plan {of.agent}@{of.version} --to {of.stage}` shows it; "
        f"`agentctl check {of.agent}@{of.version}` runs the gates",
    )


def promote_stage(workspace: Workspace, agent: str, version: str, stage: Stage, actor: str) -> Applied:
    """Plans at the head as last fetched and applies."""
    planned = plan(read_situation(workspace, agent, version, stage, workspace.base_head()))
    return apply_plan(workspace, planned, actor)


def _store(workspace: Workspace, head: str, agent: str, version: str) -> None:
    """The release and its name are there before the commit that rests on them."""
    store_release(workspace, resolve(workspace.registry(head), agent, version))


def _require_same_evidence(planned: EvidenceView | None, found: EvidenceView | None) -> None:
    if planned is not None and found is not None and planned.digest != found.digest:
        raise Conflict(
            f"the evidence changed meanwhile: {planned.digest} was planned, {found.digest} counts now",
            now="look at the plan again",
        )


def _require_as_stored(workspace: Workspace, view: EvidenceView) -> None:
    """The index that evidence is found in is a copy: what counts is in the release store, under its own digest."""
    for result in (gate.result for gate in view.gates if gate.counts):
        assert result is not None  # nothing else counts
        if workspace.releases.get_result(result.id) != result:
            raise Conflict(
                f"the result of gate {result.gate} is not the one of its digest {result.id}",
                where="the database's index of results",
                now=f"`agentctl check --again --reason` measures {view.agent}@{view.version} anew",
            )


def _move(planned: Plan, actor: str, override: Override | None) -> Move:
    of = planned.situation
    return Move(
        "promote",
        of.agent,
        of.version,
        of.stage,
        evidence=of.view.digest if of.view is not None else "",
        approved_by=approved_by(planned.approvals),
        approvals=tuple(one.digest for one in (*planned.approvals, *planned.acceptances)),
        override=override.request if override is not None else "",
        reason=override.reason if override is not None else "",
        by=actor,
    )
