"""The report as Markdown: verdict first. What models, tools and suites said is shown, never interpreted."""

import re
from typing import Any

import orjson
import yaml

from penstock.reporting.report import Report

SHORT = 300
LOG = 4_000
MARKS = {"passed": "✅", "failed": "❌", "inconclusive": "❔", "errored": "⚠️", "missing": "⬜", "skipped": "⬜"}
_ACTIVE = re.compile(r"([\\`*_\[\]#!~|$%])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", "www.": "www&#46;"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


def escape(text: Any, limit: int = SHORT) -> str:
    """`text` on one line so that no Markdown, HTML, link, mention or table cell can come of it; cut at `limit`."""
    line = _CONTROL.sub(" ", str(text)).strip()
    line = line if len(line) <= limit else f"{line[:limit]}…"
    escaped = _ACTIVE.sub(r"\\\1", line.replace("&", "&amp;"))
    for raw, entity in _ENTITIES.items():
        escaped = escaped if raw == "&" else escaped.replace(raw, entity)
    return escaped


def code(text: Any, limit: int = LOG) -> str:
    """`text` as a code block that it cannot close; the end of it where it is longer than `limit`."""
    shown = str(text).replace("\r", "").strip("\n")
    shown = shown if len(shown) <= limit else f"…{shown[-limit:]}"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def as_markdown(report: Report) -> str:
    """The whole report."""
    document = report.document
    parts = [_head(document), _gates(document), *(_details(gate) for gate in document["gates"])]
    parts += [_what(document), _people(document)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(document: dict[str, Any]) -> str:
    title = f"# {escape(document['agent'])}@{escape(document['version'])} before {document['stage']}"
    verdict = f"**{MARKS[document['verdict']]} {document['verdict']}**: {escape(document['sentence'], 1_000)}"
    if document["draft"]:
        draft = f"> **draft: does not count.** Made of {escape(document['source'])}, not of the base branch."
        return f"{title}\n\n{draft}\n\n{verdict}"
    return f"{title}\n\n{verdict}\n\nEvidence `{document['evidence']}`: what an approval binds to."


def _gates(document: dict[str, Any]) -> str:
    if not document["gates"]:
        return f"No gate stands before {document['stage']}."
    rows = ["## Gates", "", "| gate | outcome | why | measured | limit |", "|---|---|---|---|---|"]
    for gate in document["gates"]:
        cells = [escape(gate["gate"]), f"{MARKS[gate['outcome']]} {gate['outcome']}", escape(gate["reason"])]
        rows.append(f"| {' | '.join([*cells, _value(gate['measured']), _value(gate['limit'])])} |")
    return "\n".join(rows)


def _details(gate: dict[str, Any]) -> str:
    """What a reader needs of a gate beyond its line: all faults, sequences, logs."""
    artifacts = {name: value for name, value in gate["artifacts"].items() if value not in (None, [], {}, "")}
    if not artifacts:
        return ""
    blocks = [f"## {escape(gate['gate'])}"]
    for name, value in sorted(artifacts.items()):
        text = value if isinstance(value, str) else _lines(value)
        blocks.append(f"<details><summary>{escape(name)}</summary>\n\n{code(text)}\n\n</details>")
    return "\n\n".join(blocks)


def _what(document: dict[str, Any]) -> str:
    baseline = document["baseline"]
    served = (
        "none: prod serves no version" if baseline is None else f"{escape(baseline['version'])} `{baseline['digest']}`"
    )
    rows = [
        "## What was judged",
        "",
        f"- release `{document['release']['digest']}`",
        f"- source {escape(document['source'])}",
        f"- baseline {served}",
        *(f"- suite `{suite}`" for suite in document["suites"]),
        *(f"- dataset `{dataset}`" for dataset in document["datasets"]),
        "",
        "| document | digest | code |",
        "|---|---|---|",
    ]
    for line in document["release"]["closure"]:
        files = f"{line['files']} files, `{line['code']}`" if line.get("files") else ""
        rows.append(f"| {escape(line['ref'])} | `{line['digest']}` | {files} |")
    return "\n".join(rows)


def _people(document: dict[str, Any]) -> str:
    authors = ", ".join(escape(author) for author in document["authors"]) or "not known"
    rows = ["## People", "", f"- authors: {authors}"]
    rows += [_approval(approval) for approval in document["approvals"]]
    if not document["approvals"] and not document["draft"]:
        rows.append("- no approval so far")
    return "\n".join(rows)


def _approval(approval: dict[str, Any]) -> str:
    who = f"{escape(approval['name'])} {escape(approval['who'])} ({escape(approval['identifiedBy'])})"
    when = f"at {escape(approval['at'])} until {escape(approval['expiresAt'])}"
    return f"- {approval['kind']} for {approval['stage']} by {who} {when}: {escape(approval['comment'])}"


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return escape(", ".join(f"{name} {_short(item)}" for name, item in value.items()))
    return escape(_short(value))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _lines(value: Any) -> str:
    """JSON values as people read them: lists of words on one line, texts of several lines as they are."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=2**16, default_flow_style=None)


class _Writer(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return writer.represent_scalar("tag:yaml.org,2002:str", lines, style="|" if "\n" in lines else None)


_Writer.add_representer(str, _text)
