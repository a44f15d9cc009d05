"""The day of a run: it stands in its id (UUID version 7), so nothing has to be looked up to know where to look."""

import re
from datetime import UTC, datetime

from penstock.store.objects import RemovableStore

NO_DAY = "0000/00/00"
"""Of an id that says no time; it counts as older than all others."""
_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999


def day_of(run_id: str) -> str:
    """The day in UTC on which the id was made, as `2026/11/20`; days of this form sort by time."""
    found = _UUID7.fullmatch(run_id)
    if found is None:
        return NO_DAY
    at_ms = min(int(found[1] + found[2], 16), _LATEST_MS)
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y/%m/%d")


def day_at(moment: str) -> str:
    """The day of an RFC 3339 moment in UTC, in the same form."""
    return moment[:10].replace("-", "/")


def first_id(moment: str) -> str:
    """The lowest id that can have been made at that moment (RFC 3339) or later; ids before it sort before it."""
    at_ms = int(datetime.fromisoformat(moment).timestamp() * 1000)
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def days_below(store: RemovableStore, folder: str) -> list[str]:
    """The days that have a folder of objects (`<folder>/2026/11/20/`), oldest first."""
    return [
        f"{year}/{month}/{day}"
        for year in store.folders(f"{folder}/")
        for month in store.folders(f"{folder}/{year}/")
        for day in store.folders(f"{folder}/{year}/{month}/")
    ]
