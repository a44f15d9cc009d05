"""Blocking findings as discussions that must be resolved: one each, opened, resolved and opened again by the bot."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from penstock.forge.bot import Bot
from penstock.forge.check import Verdict
from penstock.forge.connection import Json
from penstock.forge.marker import harmless, is_marked, mark, marked_value
from penstock.reporting.markdown import escape

KIND = "finding"
MOST = 50
"""Discussions at most; all findings are in the note."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that stands against the change. `key` stays the same while it is the same thing, whatever its line."""

    key: str
    text: str


def findings_of(verdict: Verdict) -> list[Finding]:
    """What blocks: every fault, and every gate that does not let its version pass. An errored check blocks nothing."""
    if verdict.outcome == "errored":
        return []
    found = [_fault(one) for one in verdict.faults]
    for version in verdict.versions:
        name = f"{version.get('agent', '?')}@{version.get('version', '?')}"
        gates = version.get("gates")
        for gate in gates if isinstance(gates, list) else []:
            if isinstance(gate, dict) and gate.get("outcome") in {"failed", "inconclusive", "missing"}:
                found.append(_gate(str(version.get("agent", "?")), name, gate))
    return list({one.key: one for one in found}.values())[:MOST]


def put_findings(bot: Bot, request: Any, findings: Iterable[Finding]) -> None:
    """Opens a discussion for each finding that has none, opens resolved ones again, resolves those that are fixed."""
    known: dict[str, Json] = {}
    for discussion in bot.connection.all(request.discussions):
        first = (discussion.get("notes") or [{}])[0]
        if bot.is_mine(first.get("author")) and is_marked(first.get("body", ""), KIND):
            known.setdefault(str(marked_value(first["body"], KIND)), discussion)
    wanted = {one.key: one for one in findings}
    for key, finding in wanted.items():
        if key not in known:
            request.discussions.create({"body": _body(finding)})
        else:
            _keep(request, known[key], finding)
    for key, discussion in known.items():
        if key not in wanted and not _is_resolved(discussion):
            request.discussions.update(discussion["id"], {"resolved": True})


def _keep(request: Any, discussion: Json, finding: Finding) -> None:
    first = discussion["notes"][0]
    if _is_resolved(discussion):
        request.discussions.update(discussion["id"], {"resolved": False})
    if first["body"] != _body(finding):
        request.notes.update(first["id"], {"body": _body(finding)})


def _is_resolved(discussion: Json) -> bool:
    resolvable = [note for note in discussion.get("notes", ()) if note.get("resolvable")]
    return bool(resolvable) and all(note.get("resolved") for note in resolvable)


def _body(finding: Finding) -> str:
    return f"{mark(KIND, finding.key)}\n{harmless(finding.text)}"


def _fault(fault: Json) -> Finding:
    path, pointer, what = (str(fault.get(key, "")) for key in ("path", "pointer", "what"))
    place = f"{path}:{fault.get('line', 0)}:{fault.get('column', 0)}"
    hint = f"\n\n{escape(fault['hint'], 500)}" if fault.get("hint") else ""
    return Finding(_key("fault", path, pointer, what), f"**{escape(place)}** {escape(what, 1_000)}{hint}")


def _gate(agent: str, name: str, gate: Json) -> Finding:
    title = f"**{escape(name, 150)}: {escape(gate.get('gate', '?'), 60)} {escape(gate.get('outcome', ''), 20)}**"
    return Finding(
        _key("gate", agent, str(gate.get("gate", "?"))), f"{title}\n\n{escape(gate.get('reason', ''), 1_000)}"
    )


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
