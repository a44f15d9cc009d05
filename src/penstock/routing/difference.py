"""Difference: what changed for which agent, and for which breaker, between two routing tables."""

from dataclasses import dataclass
from typing import Any

from penstock.contracts.routing_table import RoutingTable


@dataclass(frozen=True, slots=True, order=True)
class FieldChange:
    """One field of one agent's entry; None = absent. `field` is empty when the whole agent came or went.

    An operator's word on a breaker has the resource (`tools/search`) in place of the agent, and the field `breaker`.
    """

    agent: str
    field: str
    before: Any
    after: Any

    def as_document(self) -> dict[str, Any]:
        """The change as a JSON object."""
        return {"agent": self.agent, "field": self.field, "before": self.before, "after": self.after}


def difference(before: RoutingTable, after: RoutingTable) -> list[FieldChange]:
    """The changes from `before` to `after`, by agent and field."""
    old, new = before.as_document()["agents"], after.as_document()["agents"]
    changes: list[FieldChange] = []
    for agent in sorted(old.keys() | new.keys()):
        if agent not in old or agent not in new:
            changes.append(FieldChange(agent, "", old.get(agent), new.get(agent)))
            continue
        fields = sorted(old[agent].keys() | new[agent].keys())
        changes += [
            FieldChange(agent, field, old[agent].get(field), new[agent].get(field))
            for field in fields
            if old[agent].get(field) != new[agent].get(field)
        ]
    return changes + _breaker_changes(before, after)


def _breaker_changes(before: RoutingTable, after: RoutingTable) -> list[FieldChange]:
    old, new = before.as_document()["breakers"], after.as_document()["breakers"]
    return [
        FieldChange(resource, "breaker", old.get(resource), new.get(resource))
        for resource in sorted(old.keys() | new.keys())
        if old.get(resource) != new.get(resource)
    ]
