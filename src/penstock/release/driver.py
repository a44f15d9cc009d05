"""The one driver: under `ci` a promotion is applied here, under `dagster` it is asked for and the sensor applies it."""

import time
from dataclasses import dataclass
from typing import Any, Literal

from penstock.contracts.evidence import Request
from penstock.contracts.policy import Stage
from penstock.errors import Conflict, PenstockError, Refused, Unavailable, WrongUse
from penstock.gates.context import Progress
from penstock.release.apply import Applied, Override, apply_plan, lifted_kinds, require_ready
from penstock.release.catalog import refresh_catalog
from penstock.release.clock import now, stamp
from penstock.release.condition import OVERRIDABLE, WAITING
from penstock.release.lifecycle import place_of
from penstock.release.plan import Plan, plan
from penstock.release.reconcile import reconcile
from penstock.release.situation import read_situation
from penstock.release.urgent import clean_reason
from penstock.release.workspace import Workspace

POLL_S = 0.2
Outcome = Literal["done", "refused", "waiting"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: done, refused for good, or still waiting (for approval, runs or the driver)."""

    outcome: Outcome
    reason: str
    request: str = ""

    def as_document(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {"outcome": self.outcome, "reason": self.reason, "request": self.request}


def promote(
    workspace: Workspace,
    subject: tuple[str, str, Stage],
    *,
    override: str | None = None,
    progress: Progress | None = None,
) -> Applied:
    """Moves agent and version to a stage, or nothing: reconcile, plan, apply. `override` is a release manager's reason.

    Raises `Refused` with every unmet condition, `WrongUse` when this side is not the driver.
    """
    if workspace.settings.driver != "ci":
        raise WrongUse("driver = dagster applies promotions", now="ask it by `request_promotion`")
    actor = workspace.actor
    reconcile(workspace, actor=actor, agents=[subject[0]], progress=progress)
    planned = plan_promotion(workspace, subject)
    if not workspace.person.is_driver and actor != workspace.settings.bot_email.lower():
        planned.situation.people.require_mover(actor, "promote")
    applied = apply_plan(workspace, planned, actor, _override(workspace, planned, override))
    refresh_catalog(workspace, workspace.base_head())
    return applied


def plan_promotion(workspace: Workspace, subject: tuple[str, str, Stage]) -> Plan:
    """The plan at the head of the base branch as last fetched; writes nothing."""
    return plan(read_situation(workspace, *subject, workspace.base_head()))


def request_promotion(
    workspace: Workspace, subject: tuple[str, str, Stage], *, wait_s: float, override: str | None = None
) -> Answer:
    """Stores the request and waits up to `wait_s` seconds for the driver's answer; `Refused` without the right."""
    workspace.fetch()
    planned = plan_promotion(workspace, subject)
    request = _request(workspace, planned, override)
    digest = workspace.records.put_request(request)
    ends = time.monotonic() + wait_s
    while True:
        answer = workspace.releases.answers().get(digest)
        if answer is not None:
            outcome: Outcome = "done" if answer["outcome"] == "done" else "refused"
            return Answer(outcome, str(answer["reason"]), digest)
        if time.monotonic() >= ends:
            return Answer("waiting", "the driver has not answered yet", digest)
        time.sleep(min(POLL_S, max(0.0, ends - time.monotonic())))


def apply_request(workspace: Workspace, request: Request) -> Answer:
    """What the driver makes of one open request; done and refused are stored as its answer, waiting leaves it open.

    Doing it again changes nothing: a version that stands there already is done. Raises `Unavailable`.
    """
    subject = (request.agent, request.version, request.stage)
    try:
        planned = plan_promotion(workspace, subject)
        answer = _answer(workspace, request, planned)
    except Unavailable:
        raise
    except Conflict as error:
        return Answer("waiting", error.what, request.digest)
    except PenstockError as error:
        answer = Answer("refused", error.what, request.digest)
    if answer.outcome != "waiting":
        workspace.records.put_answer(request.digest, answer.outcome, answer.reason)
    return answer


def _answer(workspace: Workspace, request: Request, planned: Plan) -> Answer:
    of = planned.situation
    if place_of(of.stages, request.version) == request.stage:
        return Answer("done", f"{request.agent}@{request.version} stands in {request.stage}", request.digest)
    of.people.require_mover(request.who, "promote")
    override = None
    if request.parameters.get("override"):
        of.people.require_manager(request.who, "override")
        override = Override(request.digest, str(request.parameters.get("reason", "")))
    if of.release is not None and of.release.digest != request.release:
        raise Refused(f"{request.agent}@{request.version} is {of.release.digest} now, not {request.release}")
    waits = [one for one in planned.unmet if one.kind in WAITING]
    left = planned.blocking(lifted_kinds(workspace, override=override is not None))
    if override is None and left and len(waits) == len(planned.unmet):
        return Answer("waiting", "; ".join(one.sentence for one in waits), request.digest)
    applied = apply_plan(workspace, planned, request.who, override)
    if applied.proposal is not None:
        return Answer("waiting", f"merge: {applied.proposal.url}", request.digest)
    return Answer("done", f"committed as {applied.commit}", request.digest)


def _override(workspace: Workspace, planned: Plan, reason: str | None) -> Override | None:
    if reason is None:
        return None
    require_ready(planned, OVERRIDABLE)
    request = _request(workspace, planned, reason)
    return Override(workspace.records.put_request(request), clean_reason(reason))


def _request(workspace: Workspace, planned: Plan, override: str | None) -> Request:
    """What is asked, as it is kept on record; with an override the record is what its commit names."""
    of, actor = planned.situation, workspace.actor
    of.people.require_mover(actor, "promote")
    parameters: dict[str, Any] = {}
    if override is not None:
        of.people.require_manager(actor, "override")
        unmet = [one.sentence for one in planned.unmet]
        parameters = {"override": True, "reason": clean_reason(override), "unmet": unmet}
    if of.release is None:
        raise Refused(f"{of.agent}@{of.version} does not resolve: {'; '.join(of.obstacles)}")
    return Request(
        action="promote",
        agent=of.agent,
        version=of.version,
        release=of.release.digest,
        stage=of.stage,
        who=actor,
        identified_by=workspace.person.identified_by,
        at=stamp(now()),
        parameters=parameters,
    )
