"""Whether the approvals on a piece of evidence are enough: pure, for the plan and for the judge of a commit alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from penstock.contracts.evidence import Approval
from penstock.contracts.pipeline import ApprovalRule
from penstock.release.clock import moment_of
from penstock.release.people import People


@dataclass(frozen=True, slots=True)
class ApprovalVerdict:
    """The approvals that count, and one sentence for each thing that is missing."""

    counted: tuple[Approval, ...]
    unmet: tuple[str, ...]


def judge_approvals(
    rules: Sequence[ApprovalRule],
    people: People,
    authors: frozenset[str],
    decisions: Iterable[Approval],
    at: datetime,
) -> ApprovalVerdict:
    """What the decisions say at `at`: each person's newest one, while it has not expired, never an author's."""
    newest = _newest_decisions(decisions)
    counted: dict[str, Approval] = {}
    unmet = [
        f"{one.who} rejected it: {one.comment}"
        for one in newest
        if one.kind == "reject" and _has_a_say(one.who, rules, people)
    ]
    for rule in rules:
        group = people.of_rule(rule)
        enough = [one for one in newest if _why_not(one, group, authors, at) is None]
        counted.update((one.digest, one) for one in enough)
        if len(enough) < rule.count:
            unmet.append(_missing(rule, people, len(enough)))
            unmet += [
                f"the approval of {one.who} does not count: {why}" for one, why in _void(newest, group, authors, at)
            ]
    return ApprovalVerdict(tuple(counted.values()), tuple(dict.fromkeys(unmet)))


def accepted_gates(
    rules: Sequence[ApprovalRule],
    people: People,
    authors: frozenset[str],
    decisions: Iterable[Approval],
    at: datetime,
) -> dict[str, list[str]]:
    """Gate -> who accepted its inconclusive result, as far as that counts at `at`; never an author's word."""
    allowed = deciders(rules, people)
    found: dict[str, list[str]] = {}
    for one in sorted(decisions, key=lambda one: (one.at, one.digest)):
        expires = moment_of(one.expires_at)
        is_current = expires is not None and expires > at
        if one.kind == "accept" and one.gate and is_current and one.who in allowed and one.who not in authors:
            found.setdefault(one.gate, []).append(one.who)
    return {gate: list(dict.fromkeys(who)) for gate, who in found.items()}


def deciders(rules: Sequence[ApprovalRule], people: People) -> frozenset[str]:
    """Who decides about a stage: those whose approval it asks for, else the team's approvers and release managers."""
    asked = frozenset(mail for rule in rules for mail in people.of_rule(rule))
    return asked or people.approvers | people.release_managers


def rules_of(mail: str, rules: Sequence[ApprovalRule], people: People) -> list[ApprovalRule]:
    """The rules that this person's approval can help to meet."""
    return [rule for rule in rules if mail.lower() in people.of_rule(rule)]


def _newest_decisions(decisions: Iterable[Approval]) -> list[Approval]:
    ordered = sorted(decisions, key=lambda one: (one.at, one.digest))
    return list({one.who.lower(): one for one in ordered if one.kind in {"approve", "reject"}}.values())


def _has_a_say(mail: str, rules: Sequence[ApprovalRule], people: People) -> bool:
    return bool(rules_of(mail, rules, people)) or mail.lower() in people.approvers | people.release_managers


def _why_not(one: Approval, group: frozenset[str], authors: frozenset[str], at: datetime) -> str | None:
    if one.kind != "approve":
        return "it is a rejection"
    if one.who.lower() in authors:
        return "an author of the version may not approve it"
    if one.who.lower() not in group:
        return "not one of those who are asked"
    expires = moment_of(one.expires_at)
    if expires is None or expires <= at:
        return f"it expired at {one.expires_at}"
    return None


def _void(
    newest: Sequence[Approval], group: frozenset[str], authors: frozenset[str], at: datetime
) -> list[tuple[Approval, str]]:
    found = [(one, _why_not(one, group, authors, at)) for one in newest if one.kind == "approve"]
    return [(one, why) for one, why in found if why is not None]


def _missing(rule: ApprovalRule, people: People, found: int) -> str:
    group = sorted(people.of_rule(rule))
    whose = f"an approver of team {people.owner}" if rule.from_ == "owners" else "a release manager"
    return f"{found} of {rule.count} approvals by {whose} ({', '.join(group) or 'nobody is declared'})"
