"""Publish: the one way in which a routing table comes into force."""

import random
import time
from collections.abc import Callable, Mapping

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry, RoutingTable, TableSource
from penstock.errors import Conflict, NotFound
from penstock.routing.table_shape import named_releases
from penstock.store.clock import now
from penstock.store.releases import ReleaseStore

ATTEMPTS = 10
JITTER_S = 0.02

Change = Callable[[RoutingTable | None], RoutingTable | None]


def next_table(
    current: RoutingTable | None,
    agents: Mapping[str, AgentRoutes],
    overlay: Mapping[str, list[OverlayEntry]],
    source: TableSource,
) -> RoutingTable:
    """A table to come after `current`; `publish` gives it its generation, lineage and time.

    `agents` must have `overlay` applied already (`penstock.routing.overlay`). What operators ordered about breakers is
    carried on.
    """
    return RoutingTable(
        lineage=current.lineage if current is not None else "",
        generation=current.generation + 1 if current is not None else 1,
        created_at="",
        source=source,
        agents=dict(sorted(agents.items())),
        overlay={agent: entries for agent, entries in sorted(overlay.items()) if entries},
        breakers=current.breakers if current is not None else {},
    )


def publish(store: ReleaseStore, change: Change) -> RoutingTable:
    """Puts what `change` makes of the table in force into force; returns the table that is then in force.

    `change` gets the table in force (None: the first) and is called again whenever somebody else published in
    between, so it must be pure; it returns None, or a table with equal agents, overlay and breakers, when there is
    nothing to do. The generation is the highest existing name + 1, complete or not, created exclusively.

    Raises `Conflict` after 10 attempts, or when the store is of another lineage than its tables; `NotFound` or
    `Invalid` when a release or blob that the table names is not in the store; what `change` raises goes through.
    """
    for attempt in range(ATTEMPTS):
        current, highest = store.newest_and_highest()
        table = change(current)
        if table is None or _is_equal(table, current):
            if current is None:
                raise NotFound("there is no routing table, and nothing to publish", where=store.url)
            return current
        lineage = store.lineage(create=True)
        if current is not None and current.lineage != lineage:
            raise Conflict(
                f"the store's lineage is {lineage}, its table {current.generation} is of {current.lineage}",
                where=store.url,
                now="two stores were mixed: restore lineage.json or the tables from a copy",
            )
        table = _numbered(table, current, highest + 1, lineage)
        _require_releases(store, table, current)
        if store.create_table(table):
            return table
        time.sleep(random.uniform(0, JITTER_S * (attempt + 1)))
    raise Conflict(
        f"{ATTEMPTS} times somebody else published first", where=store.url, now="try again; `agentctl routes history`"
    )


def _numbered(table: RoutingTable, current: RoutingTable | None, generation: int, lineage: str) -> RoutingTable:
    previous = current.generation if current is not None else None
    source = table.source.model_copy(update={"previous_generation": previous})
    changes = {"generation": generation, "lineage": lineage, "created_at": now(), "source": source}
    return table.model_copy(update=changes)


def _is_equal(table: RoutingTable, current: RoutingTable | None) -> bool:
    if current is None:
        return False
    new, old = table.as_document(), current.as_document()
    return all(new[part] == old[part] for part in ("agents", "overlay", "breakers"))


def _require_releases(store: ReleaseStore, table: RoutingTable, current: RoutingTable | None) -> None:
    """What the table in force names was there when it was published; all else must be there now, blobs included."""
    known = set(named_releases(current.as_document())) if current is not None else set()
    for digest in sorted(set(named_releases(table.as_document())) - known):
        for blob in sorted(store.get_release(digest).blobs):
            store.get_blob(blob)
