"""The one note of a merge request: the newest verdict on top, what came before it collapsed."""

from collections.abc import Sequence
from typing import Any

from penstock.forge.bot import Bot
from penstock.forge.check import Verdict
from penstock.forge.connection import Json
from penstock.forge.marker import harmless, is_marked, mark, marked_value
from penstock.release.clock import now, stamp
from penstock.reporting.markdown import MARKS, escape, table
from penstock.reporting.note import as_note
from penstock.reporting.report import Report

KIND = "note"
LONGEST = 1_000_000
ROOM = 900_000
"""Characters of the reports in a note; what has no room is left out with a word."""
EARLIER = 20
FAULTS = 30


def put_note(bot: Bot, request: Any, kind: str, body: str) -> None:
    """Writes the bot's note of that kind, in place; a second one, which a crash may have left, goes.

    `body` begins with its marker. Raises `Refused` where even the shortest form is too long for GitLab.
    """
    found = bot_notes(bot, request, kind)
    text = body if len(body) <= LONGEST else f"{body.partition(chr(10))[0]}\nToo long for a note.\n"
    for spare in found[1:]:
        request.notes.delete(spare["id"])
    if not found:
        request.notes.create({"body": text})
    elif found[0]["body"] != text:
        request.notes.update(found[0]["id"], {"body": text})


def bot_notes(bot: Bot, request: Any, kind: str) -> list[Json]:
    """The bot's own notes that begin with a marker of that kind, oldest first."""
    notes = bot.connection.all(request.notes, order_by="created_at", sort="asc")
    return [one for one in notes if bot.is_mine(one.get("author")) and is_marked(one.get("body", ""), kind)]


def put_verdict(bot: Bot, request: Any, head: str, verdict: Verdict) -> None:
    """Shows a verdict in the merge request's note."""
    found = bot_notes(bot, request, KIND)
    before = marked_value(found[0]["body"], KIND) if found else None
    put_note(bot, request, KIND, verdict_note(head, verdict, before, _pipeline(request)))


def verdict_note(head: str, verdict: Verdict, before: Json | None, link: str = "") -> str:
    """The note's text. `before` is the value of the marker of the note that this one takes the place of."""
    this = {"head": head, "outcome": verdict.outcome, "sentence": verdict.sentence[:300], "at": stamp(now())}
    earlier = _earlier(before, head)
    marker = mark(KIND, {**this, "earlier": earlier})
    parts = [
        f"## Penstock: {MARKS[verdict.outcome]} {verdict.outcome}",
        f"Commit `{head[:12]}`: {escape(verdict.sentence, 1_000)}",
        _table(verdict),
        _faults(verdict),
        f"The whole reports are artifacts of [the pipeline]({link})." if link else "",
        "Made of the branch: shown, and never counted. `/penstock plan` checks it again.",
    ]
    body = harmless("\n\n".join(part for part in parts if part))
    room = ROOM - len(body)
    reports = [harmless(one) for one in _reports(verdict)]
    shown: list[str] = []
    for report in reports:
        if len(report) <= room:
            shown.append(report)
            room -= len(report) + 2
    left = len(reports) - len(shown)
    cut = [f"{left} more reports are too long for a note: see the pipeline's artifacts."] if left else []
    return "\n\n".join([marker, body, *shown, *cut, *_collapsed(earlier)]) + "\n"


def _table(verdict: Verdict) -> str:
    if not verdict.versions:
        return ""
    rows = []
    for one in verdict.versions:
        name = f"{one.get('agent', '?')}@{one.get('version', '?')}"
        report = verdict.reports.get(name, {})
        baseline = report.get("baseline")
        against = baseline.get("version", "?") if isinstance(baseline, dict) else "nothing in production"
        outcome = str(one.get("verdict", "?"))
        rows.append(
            [
                escape(name, 150),
                escape(against, 60),
                escape(one.get("stage", "?"), 20),
                f"{MARKS.get(outcome, '')} {escape(outcome, 20)}".strip(),
                escape(one.get("sentence", ""), 300),
            ]
        )
    return table(["candidate", "production", "before", "verdict", "why"], rows)


def _faults(verdict: Verdict) -> str:
    if not verdict.faults:
        return ""
    lines = [
        f"- `{_place(one)}` {escape(one.get('what', ''), 500)} {escape(one.get('hint', ''), 200)}".rstrip()
        for one in verdict.faults[:FAULTS]
    ]
    more = len(verdict.faults) - FAULTS
    return "\n".join([*lines, *([f"- and {more} more: `agentctl validate` lists them all"] if more > 0 else [])])


def _place(fault: Json) -> str:
    place = f"{fault.get('path', '?')}:{fault.get('line', 0)}:{fault.get('column', 0)}"
    return "".join(sign for sign in place if sign.isprintable() and sign not in "`<>")[:300]


def _reports(verdict: Verdict) -> list[str]:
    """Each report folded away. One that is not shaped as a report is said to be none: the branch may have made it."""
    folded = []
    for name, report in sorted(verdict.reports.items()):
        try:
            text = as_note(Report(report), has_page=False)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            text = "The report cannot be read.\n"
        folded.append(f"<details><summary>{escape(name, 150)}</summary>\n\n{text}\n</details>")
    return folded


def _earlier(before: Json | None, head: str) -> list[Json]:
    """The rounds before this one, newest first; a commit that is checked again takes the place of its own row."""
    if not isinstance(before, dict):
        return []
    rounds = [{key: before.get(key, "") for key in ("head", "outcome", "sentence", "at")}]
    rounds += [one for one in before.get("earlier", []) if isinstance(one, dict)]
    return [one for one in rounds if one.get("head") != head][:EARLIER]


def _collapsed(earlier: Sequence[Json]) -> list[str]:
    if not earlier:
        return []
    rows = [
        [f"`{str(one['head'])[:12]}`", escape(one["outcome"], 20), escape(one["sentence"]), escape(one["at"], 40)]
        for one in earlier
    ]
    count = f"{len(rows)} earlier commit{'s' if len(rows) > 1 else ''}"
    shown = harmless(table(["commit", "verdict", "why", "at"], rows))
    return [f"<details><summary>{count}</summary>\n\n{shown}\n\n</details>"]


def _pipeline(request: Any) -> str:
    """Where the pipeline of the head is looked at; empty while there is none."""
    pipeline = request.attributes.get("head_pipeline")
    link = str(pipeline.get("web_url", "")) if isinstance(pipeline, dict) else ""
    return link if link.startswith(("https://", "http://")) and not set(link) & set(" ()<>\n") else ""
