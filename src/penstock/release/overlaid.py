"""An urgent change in two shapes: as the overlay of a routing table, and as the stages file that writes it down."""

from collections.abc import Mapping
from typing import Any

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry, RoutingTable
from penstock.contracts.stages import StagesSpec
from penstock.errors import Invalid
from penstock.release.lifecycle import settle
from penstock.release.stages_file import stages_of, stages_value

PLACES = ("prod", "canary", "previous", "dev", "draining")
RETIRED = ("deprecated", "disabled")
_NAMES = {field.alias or name: name for name, field in StagesSpec.model_fields.items()}


def overlaid(spec: StagesSpec, entry: OverlayEntry) -> StagesSpec:
    """The stages file once the urgent change is written into it, whatever has moved in it meanwhile."""
    changes = {_NAMES[key]: stages_value(key, value) for key, value in entry.set.items() if key in _NAMES}
    return settle(spec, {**changes, **retired_lists(entry)}, entry.quarantine.add, entry.quarantine.remove)


def retired_lists(entry: OverlayEntry) -> dict[str, list[str]]:
    """The lists of retired versions that the change leaves: no field of a table that answers depends on them."""
    lists = (entry.model_extra or {}).get("retired", {})
    return {key: list(lists[key]) for key in RETIRED if key in lists}


def stages_in_force(table: RoutingTable, agent: str) -> StagesSpec:
    """What stands where by the table, its overlay and what that retires included. The agent must be in the table."""
    spec = stages_of(table.agents[agent])
    for entry in table.overlay.get(agent, ()):
        spec = spec.model_copy(update=retired_lists(entry))
    return spec


def overlay_values(
    routes: AgentRoutes, before: StagesSpec, after: StagesSpec, releases: Mapping[str, str]
) -> dict[str, Any]:
    """`set`, `quarantine` and `retired` of the overlay entry that turns `before` into `after`.

    If anything stands elsewhere then, every place is set whole: what a promoter commits who read `before` changes
    nothing. `releases` maps each version that stands in `after` to its digest.
    """
    old, new = before.as_document(), after.as_document()
    changed = [key for key in ("status", "hold", "degraded") if old[key] != new[key]]
    moved = any(old[key] != new[key] for key in (*PLACES, *RETIRED))
    values = {key: _with_releases(key, new[key], releases, routes) for key in PLACES} if moved else {}
    return {
        "set": {**{key: new[key] for key in changed}, **values},
        "quarantine": {
            "add": [one for one in after.quarantined if one not in before.quarantined],
            "remove": [one for one in before.quarantined if one not in after.quarantined],
        },
        "retired": {key: new[key] for key in RETIRED} if moved else {},
    }


def _with_releases(key: str, value: Any, releases: Mapping[str, str], routes: AgentRoutes) -> Any:
    if key in {"prod", "previous"} and value is not None:
        return {**value, "release": _release(value, releases)}
    if key in {"dev", "draining"}:
        return [{**one, "release": _release(one, releases)} for one in value]
    if key == "canary" and value is not None:
        known = routes.canary.as_document() if routes.canary is not None else {}
        return {**known, **value, "release": _release(value, releases), "salt": _release(value, releases)}
    return value


def _release(value: dict[str, Any], releases: Mapping[str, str]) -> str:
    found = releases.get(value["version"])
    if found is None:
        raise Invalid(
            f"version {value['version']} has no release in the release store",
            now="`agentctl reconcile` writes what is missing",
        )
    return found
