"""A person's decision about exactly one piece of evidence."""

import re
from collections.abc import Sequence
from typing import Literal

from penstock.contracts.evidence import Approval
from penstock.contracts.pipeline import ApprovalRule, StageRules
from penstock.contracts.policy import Stage
from penstock.errors import Conflict, NotFound, Refused, WrongUse
from penstock.gates.evidence import EvidenceView
from penstock.registry.layout import PIPELINE, TEAMS
from penstock.release.approval_rules import deciders, rules_of
from penstock.release.clock import hours, now, stamp
from penstock.release.plan import Situation
from penstock.release.situation import read_situation
from penstock.release.urgent import clean_reason
from penstock.release.workspace import Workspace

SHORTEST_PREFIX = 12
_HEX = re.compile(r"[0-9a-f]+")


def decide(
    workspace: Workspace,
    subject: tuple[str, str, Stage],
    kind: Literal["approve", "reject"],
    report: str,
    comment: str,
) -> Approval:
    """Stores the decision of whoever acts on agent, version and stage; returns it.

    `report` is the evidence's digest or at least 12 hex digits of its start. Raises `Conflict` when other evidence
    counts now, `Refused` when the person may not decide or there is nothing to approve yet.
    """
    text = clean_reason(comment)
    situation, view = _at_hand(workspace, subject, report)
    rules: StageRules = getattr(situation.pipeline.spec.stages, situation.stage)
    chosen = _allowed_rules(situation, rules.approvals, workspace.actor, kind)
    if kind == "approve" and not view.passed:
        raise Refused(
            f"there is nothing to approve yet: {view.sentence}",
            now=f"`agentctl check {situation.agent}@{situation.version}` runs the gates",
        )
    return _record(workspace, view, kind, text, chosen)


def accept(workspace: Workspace, subject: tuple[str, str, Stage], gate: str, report: str, reason: str) -> Approval:
    """Opens a gate whose result is inconclusive, on exactly this evidence; stores and returns the decision.

    It approves nothing else. Raises `Conflict` when other evidence counts now; `Refused` for an author, for somebody
    who does not decide about the stage, and where the pipeline does not leave the gate to people.
    """
    text = clean_reason(reason)
    situation, view = _at_hand(workspace, subject, report)
    rules: StageRules = getattr(situation.pipeline.spec.stages, situation.stage)
    allowed = deciders(rules.approvals, situation.people)
    if workspace.actor in situation.authors:
        what = f"{workspace.actor} wrote {situation.agent}@{situation.version} and may not accept a result of it"
        raise Refused(what, where=TEAMS, now="ask another")
    if workspace.actor not in allowed:
        what = f"{workspace.actor} may not accept a result for {situation.stage}"
        raise Refused(what, where=TEAMS, now=f"ask one of: {', '.join(sorted(allowed)) or 'nobody'}")
    _require_acceptable(view, gate)
    chosen = rules_of(workspace.actor, rules.approvals, situation.people)
    return _record(workspace, view, "accept", text, chosen, gate=gate)


def _at_hand(workspace: Workspace, subject: tuple[str, str, Stage], report: str) -> tuple[Situation, EvidenceView]:
    situation = read_situation(workspace, *subject, workspace.fetch())
    view = _view(situation)
    require_evidence(workspace, view, report)
    return situation, view


def _require_acceptable(view: EvidenceView, gate: str) -> None:
    standing = next((one for one in view.gates if one.gate == gate), None)
    if standing is None:
        raise NotFound(
            f"gate {gate!r} does not stand before {view.stage}",
            where=PIPELINE,
            now=f"gates are: {', '.join(one.gate for one in view.gates) or 'none'}",
        )
    if standing.verdict != "inconclusive":
        raise Refused(f"gate {gate} is {standing.verdict}, not inconclusive: there is nothing to accept")
    if not standing.may_accept:
        raise Refused(
            f"the pipeline leaves gate {gate} to no person",
            where=PIPELINE,
            now=f"{{gate: {gate}, inconclusive: person}} does",
        )


def _record(
    workspace: Workspace,
    view: EvidenceView,
    kind: Literal["approve", "reject", "accept"],
    text: str,
    rules: Sequence[ApprovalRule],
    *,
    gate: str | None = None,
) -> Approval:
    at, person = now(), workspace.person
    valid = min((rule.valid_hours for rule in rules), default=168)
    approval = Approval(
        kind=kind,
        evidence=view.digest,
        release=view.evidence.release,
        stage=view.stage,
        who=person.mail,
        name=person.name,
        identified_by=person.identified_by,
        at=stamp(at),
        expires_at=stamp(at + hours(valid)),
        comment=text,
        gate=gate,
    )
    workspace.records.put_evidence(view.evidence)
    workspace.records.put_approval(approval)
    return approval


def require_evidence(workspace: Workspace, view: EvidenceView, report: str) -> None:
    """Raises `WrongUse` for what is no digest, `Conflict`, saying what changed, when other evidence counts now."""
    prefix = report.strip().lower().removeprefix("sha256:")
    if len(prefix) < SHORTEST_PREFIX or not _HEX.fullmatch(prefix):
        raise WrongUse(
            f"--report {report!r} is no evidence digest",
            now=f"give at least {SHORTEST_PREFIX} hex digits of the evidence that the report shows",
        )
    current = view.digest.removeprefix("sha256:")
    if not current.startswith(prefix):
        raise Conflict(
            f"the report is of evidence {prefix[:SHORTEST_PREFIX]}, and {current[:SHORTEST_PREFIX]} counts now: "
            f"{_what_changed(workspace, view, prefix)}",
            now=f"`agentctl report {view.agent}@{view.version}` shows what counts now; decide on that",
        )


def _what_changed(workspace: Workspace, view: EvidenceView, prefix: str) -> str:
    known = [one for one in workspace.records.evidence(view.evidence.release) if one.digest[7:].startswith(prefix)]
    if not known:
        return "it is of another release, or was never stored"
    old, new = known[0], view.evidence
    if old.stage != new.stage:
        return f"it is about stage {old.stage}"
    if old.baseline != new.baseline:
        return f"prod served {old.baseline or 'nothing'} then, and serves {new.baseline or 'nothing'} now"
    changed = sorted({result.gate for result in view.results if result.id not in old.results})
    gone = [_gate_of(workspace, one) for one in old.results if one not in new.results]
    return f"other results of gate {', '.join(changed or sorted(set(gone)) or ['none'])}"


def _gate_of(workspace: Workspace, result: str) -> str:
    try:
        return workspace.releases.get_result(result).gate
    except NotFound:
        return result


def _view(situation: Situation) -> EvidenceView:
    if situation.view is None:
        raise Refused(
            f"{situation.agent}@{situation.version} has no evidence: {'; '.join(situation.obstacles)}",
            now="mend that first",
        )
    return situation.view


def _allowed_rules(
    situation: Situation, rules: Sequence[ApprovalRule], mail: str, kind: Literal["approve", "reject"]
) -> list[ApprovalRule]:
    people = situation.people
    chosen = rules_of(mail, rules, people)
    if kind == "approve" and mail in situation.authors:
        raise Refused(
            f"{mail} wrote {situation.agent}@{situation.version} and may not approve it", where=TEAMS, now="ask another"
        )
    if kind == "approve" and not rules:
        raise Refused(f"stage {situation.stage} asks for no approval", now="`agentctl promote` needs none")
    if not chosen and (kind == "approve" or mail not in people.approvers | people.release_managers):
        allowed = sorted({one for rule in rules for one in people.of_rule(rule)})
        raise Refused(
            f"{mail} may not {kind} for {situation.stage}", where=TEAMS, now=f"ask one of: {', '.join(allowed)}"
        )
    return chosen
