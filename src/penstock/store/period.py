"""Periods as people write them: 30m, 24h, 7d, or the moment at which they began."""

import re
from datetime import UTC, datetime, timedelta

from penstock.errors import WrongUse

_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def since(text: str, *, now: datetime | None = None, where: str = "--since") -> str:
    """When the period began, RFC 3339 in UTC; `text` is a span before now or an RFC 3339 moment. Raises `WrongUse`."""
    span = _SPAN.fullmatch(text.strip())
    try:
        if span:
            begun = (now or datetime.now(UTC)) - timedelta(**{_UNITS[span[2]]: int(span[1])})
        else:
            begun = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise WrongUse(f"{text!r} is no period", where=where, now="such as 30m, 24h, 7d or 2026-11-20") from None
    begun = begun if begun.tzinfo is not None else begun.replace(tzinfo=UTC)
    return begun.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
