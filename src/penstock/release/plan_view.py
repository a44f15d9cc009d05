"""A plan as people and programs read it: one document, and the same content as text for a terminal and as Markdown."""

import json
from collections.abc import Iterator
from typing import Any

from penstock.gates.evidence import EvidenceView
from penstock.release import lifecycle
from penstock.release.clock import stamp
from penstock.release.plan import Plan, traffic
from penstock.reporting.markdown import MARKS, code, escape, table


def plan_document(planned: Plan) -> dict[str, Any]:
    """The plan as a JSON object."""
    of, window = planned.situation, planned.window
    opens = window.closed.next_open if window.closed is not None else None
    return {
        "agent": of.agent,
        "version": of.version,
        "to": of.stage,
        "from": lifecycle.place_of(of.stages, of.version),
        "release": of.release.digest if of.release is not None else None,
        "commit": of.head,
        "ready": planned.ready,
        "unmet": [one.as_document() for one in planned.unmet],
        "window": {
            "open": window.closed is None,
            "reason": window.closed.sentence if window.closed is not None else None,
            "nextOpen": stamp(opens) if opens is not None else None,
            "closesAt": stamp(window.closes_at) if window.closes_at is not None else None,
        },
        "rollout": of.rollout.as_document() if of.rollout is not None else None,
        "evidence": _evidence_document(of.view),
        "approvals": [one.as_document() for one in planned.approvals],
        "acceptances": [one.as_document() for one in planned.acceptances],
        "diff": {"stages": planned.text_diff, "resolved": planned.resolved_diff},
        "traffic": {
            "before": traffic(of.stages),
            "after": traffic(planned.after) if planned.after is not None else None,
        },
    }


def plan_text(planned: Plan) -> str:
    """The plan for a terminal."""
    document = plan_document(planned)
    lines = [_title(document)]
    lines += _facts(document)
    evidence = document["evidence"]
    if evidence is not None:
        lines += [f"  {gate['gate']:12} {gate['verdict']:12} {gate['why']}" for gate in evidence["gates"]]
    if planned.text_diff:
        lines += ["", planned.text_diff.rstrip()]
    if planned.resolved_diff:
        lines += ["", "what differs from what stands there now:", json.dumps(planned.resolved_diff, indent=2)]
    lines.append("")
    if planned.ready:
        lines.append("nothing stands in the way")
    else:
        lines += ["in the way:", *(f"  - {one.sentence}" for one in planned.unmet)]
    return "\n".join(lines)


def plan_markdown(planned: Plan) -> str:
    """The plan for a merge request: nothing that a model or a file said can act in it."""
    document = plan_document(planned)
    parts = [f"# {escape(_title(document), 500)}", "\n".join(f"- {escape(fact, 1_000)}" for fact in _facts(document))]
    parts.append(_unmet_markdown(planned))
    evidence = document["evidence"]
    if evidence is not None and evidence["gates"]:
        rows = [
            [escape(gate["gate"]), f"{MARKS[gate['verdict']]} {gate['verdict']}", escape(gate["why"])]
            for gate in evidence["gates"]
        ]
        parts.append(table(["gate", "verdict", "why"], rows))
    parts.append(_folded("What changes in the stages file", planned.text_diff))
    resolved = json.dumps(planned.resolved_diff, indent=2, ensure_ascii=False) if planned.resolved_diff else ""
    parts.append(_folded("What differs from what stands there now", resolved))
    return "\n\n".join(part for part in parts if part) + "\n"


def _unmet_markdown(planned: Plan) -> str:
    if planned.ready:
        return "**Nothing stands in the way.**"
    return "\n".join(["**In the way:**", "", *(f"- {escape(one.sentence, 1_000)}" for one in planned.unmet)])


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{code(text)}\n\n</details>" if text else ""


def _title(document: dict[str, Any]) -> str:
    release = document["release"] or "does not resolve"
    return f"{document['agent']}@{document['version']} to {document['to']}, release {release}"


def _facts(document: dict[str, Any]) -> Iterator[str]:
    """Everything but gates, differences and what is in the way, a line each."""
    evidence = document["evidence"]
    if evidence is not None:
        yield f"evidence {evidence['evidence']}: {evidence['verdict']}: {evidence['why']}"
    for one in document["approvals"]:
        yield f"approved by {_who(one)} at {one['at']}: {one['comment']}"
    for one in document["acceptances"]:
        yield f"gate {one['gate']} accepted by {_who(one)} at {one['at']}: {one['comment']}"
    if document["traffic"]["after"] is not None:
        yield f"traffic before: {_shares(document['traffic']['before'])}"
        yield f"traffic after:  {_shares(document['traffic']['after'])}"
    if document["rollout"] is not None:
        yield from document["rollout"]["sentences"]
    window = document["window"]
    if window["closesAt"] is not None:
        yield f"open until {window['closesAt']}"


def _who(decision: dict[str, Any]) -> str:
    how = "self-declared" if decision["identifiedBy"] == "git-config" else f"by {decision['identifiedBy']}"
    return f"{decision['name']} <{decision['who']}> ({how})"


def _shares(shares: dict[str, str]) -> str:
    return "; ".join(f"{place} {share}" for place, share in shares.items()) or "nothing answers"


def _evidence_document(view: EvidenceView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return {
        "evidence": view.digest,
        "verdict": view.verdict,
        "why": view.sentence,
        "draft": view.draft,
        "gates": [
            {
                "gate": gate.gate,
                "stage": gate.stage,
                "verdict": gate.verdict,
                "why": gate.reason,
                "acceptedBy": list(gate.accepted_by),
            }
            for gate in view.gates
        ],
        "missing": view.missing,
    }
