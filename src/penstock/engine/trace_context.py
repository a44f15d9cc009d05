"""W3C trace context: the traceparent header, read from callers and written for models, tools and answers."""

import re
from collections.abc import Iterable

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_INVALID_VERSION = "ff"

TraceParent = tuple[str, str]
"""Trace id (32 hex digits) and the span id (16 hex digits) of whoever calls."""


def read_traceparent(text: str) -> TraceParent | None:
    """The caller's trace and span; None for what is no traceparent, as the standard says: the trace then begins here.

    A later version of the header may have more fields at its end; version 00 has none.
    """
    found = _TRACEPARENT.fullmatch(text.strip())
    if found is None or found[1] == _INVALID_VERSION or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = found[2], found[3]
    return (trace_id, span_id) if int(trace_id, 16) and int(span_id, 16) else None


def parent_of(headers: Iterable[tuple[bytes, bytes]]) -> TraceParent | None:
    """The trace that a request's headers name; None where they name none, or two."""
    given = [value for name, value in headers if name == b"traceparent"]
    return read_traceparent(given[0].decode("latin-1")) if len(given) == 1 else None


def traceparent(trace_id: str, span_id: str) -> str:
    """The header's value for whatever is called by that span; it is recorded here, so the flags say sampled."""
    return f"00-{trace_id}-{span_id}-01"
