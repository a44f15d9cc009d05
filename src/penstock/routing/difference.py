"""Difference: what changed for which agent between two routing tables."""

from dataclasses import dataclass
from typing import Any

from penstock.contracts.routing_table import RoutingTable


@dataclass(frozen=True, slots=True, order=True)
class FieldChange:
    """One field of one agent's entry; None = absent. `field` is empty when the whole agent came or went."""

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
    return changes
