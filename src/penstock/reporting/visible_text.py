"""Text of models, tools and suites made fit to be read: nothing of it is invisible, nothing of it is endless."""

import re
from typing import Any

import orjson

# Controls (but tab and newline), directional marks and overrides, zero-width characters (but the joiners that scripts
# and emoji need), line and paragraph separators, annotation and tag characters, non-characters, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e0fff\ud800-\udfff]"
)
# Marks that are stacked on one letter: four are more than any script writes.
_STACKED = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def visible(text: str) -> str:
    """`text` with each character that cannot be seen, or that reorders others, as its code: `⟦U+202E⟧`.

    What is left can be encoded as UTF-8 and may stand in XML. A heap of combining marks is cut to four.
    """
    shown = _INVISIBLE.sub(lambda found: f"⟦U+{ord(found[0]):04X}⟧", text.replace("\r\n", "\n"))
    return _STACKED.sub(r"\1", shown)


def cut(text: str, limit: int) -> str:
    """`text` if it is no longer than `limit` characters, else its beginning and how much is left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… [{len(text) - limit:,} characters more]"


def one_line(value: Any, limit: int) -> str:
    """A JSON value on one line, visible and cut at `limit`: texts as they are, all else as JSON."""
    text = value if isinstance(value, str) else as_json(value)
    line = " ".join(visible(text[:limit]).split())
    return line if len(text) <= limit else f"{line}… [{len(text) - limit:,} characters more]"


def as_json(value: Any, *, indented: bool = False) -> str:
    """A value as JSON text, keys in their order; what JSON cannot hold is shown as Python does."""
    try:
        return orjson.dumps(value, default=repr, option=orjson.OPT_INDENT_2 if indented else None).decode()
    except TypeError:  # lone surrogates, or numbers beyond 64 bits
        return repr(value)


def encodable(value: Any) -> Any:
    """The same JSON value without lone surrogates, which no encoding of Unicode can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if isinstance(value, dict):
        return {encodable(str(key)): encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [encodable(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
