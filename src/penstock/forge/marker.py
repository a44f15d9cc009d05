"""Hidden markers: comments of HTML in a note, by which the bot finds again what it wrote, and nothing else does."""

import re
from typing import Any

import orjson

_LINE_COMMAND = re.compile(r"(?m)^([ \t]*)/(?=[A-Za-z])")
_PREFIX = "<!-- penstock:"


def mark(kind: str, value: Any = None) -> str:
    """A marker of a kind with a JSON value."""
    if value is None:
        return f"{_PREFIX}{kind} -->"
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    closed = text.replace("-", "\\u002d").replace(">", "\\u003e")  # what is in it must not end the comment
    return f"{_PREFIX}{kind} {closed} -->"


def is_marked(body: str, kind: str) -> bool:
    """Whether the text begins with a marker of that kind: one that is quoted further down is none."""
    return re.match(re.escape(f"{_PREFIX}{kind}") + r"[ ]", body) is not None


def marked_value(body: str, kind: str) -> Any:
    """The value of the marker that the text begins with; None without one."""
    found = re.match(re.escape(f"{_PREFIX}{kind} ") + r"(.*?) ?-->", body)
    try:
        return orjson.loads(found[1]) if found and found[1] else None
    except orjson.JSONDecodeError:
        return None


def harmless(body: str) -> str:
    """The text with no line that GitLab would do as a command of the bot's (`/merge`), and no marker but our own."""
    return _LINE_COMMAND.sub(r"\1&#47;", body.replace("<!--", "&lt;!--"))
