"""Markdown that data cannot turn into anything: what models, tools and suites said is shown, never interpreted."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.reporting.visible_text import visible

SHORT = 300
LOG = 4_000
MARKS: Mapping[str, str] = {
    "passed": "✅",
    "failed": "❌",
    "inconclusive": "❔",
    "errored": "⚠️",
    "missing": "⬜",
    "skipped": "⬜",
}
_ACTIVE = re.compile(r"([\\`*_\[\]#!~|$%])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", "www.": "www&#46;"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


def escape(text: Any, limit: int = SHORT) -> str:
    """`text` on one line so that no Markdown, HTML, link, mention or table cell can come of it; cut at `limit`."""
    line = visible(_CONTROL.sub(" ", str(text)).strip())
    line = line if len(line) <= limit else f"{line[:limit]}…"
    escaped = _ACTIVE.sub(r"\\\1", line.replace("&", "&amp;"))
    for raw, entity in _ENTITIES.items():
        escaped = escaped if raw == "&" else escaped.replace(raw, entity)
    return escaped


def code(text: Any, limit: int = LOG) -> str:
    """`text` as a code block that it cannot close; the end of it where it is longer than `limit`."""
    shown = visible(str(text).replace("\r", "")).strip("\n")
    shown = shown if len(shown) <= limit else f"…{shown[-limit:]}"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    ruler = f"|{'---|' * len(columns)}"
    head, *body = (f"| {' | '.join(cells)} |" for cells in (columns, *rows))
    return "\n".join([head, ruler, *body])
