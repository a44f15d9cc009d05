"""The time as records write it."""

from datetime import UTC, datetime


def now() -> str:
    """RFC 3339 in UTC with microseconds; texts of this form sort by time."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> str:
    """Another program's RFC 3339 time in the same form, so that both sort together; raises `ValueError`."""
    parsed = datetime.fromisoformat(text)
    parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return parsed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_between(since: str, until: str) -> float:
    """Seconds from one moment to another, 0 if the second is not the later one."""
    return max(0.0, (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds())
