"""Overlay: urgent changes whose commits are still to be written, applied to an agent's entry."""

from collections.abc import Iterable

from pydantic import ValidationError

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry
from penstock.errors import Invalid

FIELDS = frozenset({"status", "prod", "canary", "previous", "dev", "draining", "hold", "degraded"})


def apply_overlay(routes: AgentRoutes, entries: Iterable[OverlayEntry]) -> AgentRoutes:
    """The entry with each change on top of the one before: whole values, null clears, quarantine added and removed.

    Raises `Invalid` for a field that the overlay may not set, or a value that an entry cannot hold.
    """
    document = routes.as_document()
    for entry in entries:
        unknown = entry.set.keys() - FIELDS
        if unknown:
            raise _invalid(entry, f"may not set {', '.join(sorted(unknown))}; it may set {', '.join(sorted(FIELDS))}")
        for field, value in entry.set.items():
            if value is None:
                document.pop(field, None)  # back to what an entry has when nothing is said: none, empty, active
            else:
                document[field] = value
        kept = [digest for digest in document["quarantined"] if digest not in entry.quarantine.remove]
        document["quarantined"] = list(dict.fromkeys([*kept, *entry.quarantine.add]))
        try:
            AgentRoutes.model_validate(document)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise _invalid(entry, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
    return AgentRoutes.model_validate(document)


def _invalid(entry: OverlayEntry, what: str) -> Invalid:
    return Invalid(f"overlay entry {entry.id} {what}", where="overlay", now="publish a corrected change")
