"""Breakers by order: an operator opens or closes one in every executor at once, with nothing but the release store."""

from typing import Literal

from penstock.contracts.routing_table import BreakerOrder, RoutingTable, TableSource
from penstock.errors import NotFound, WrongUse
from penstock.registry.document_faults import did_you_mean
from penstock.registry.layout import TEAMS
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
from penstock.release.clock import now, stamp
from penstock.release.people import people_of
from penstock.release.urgent import clean_reason, require_table
from penstock.release.workspace import Workspace
from penstock.routing.publish import next_table, publish

GUARDED = ("tools", "models")
Wanted = Literal["open", "closed"]


def order_breaker(workspace: Workspace, resource: str, state: Wanted, reason: str) -> RoutingTable:
    """Publishes the order and returns the table that carries it; every later table does too, until the next order.

    `closed` also has executors forget what they counted. Raises `WrongUse` for what is no `tools/<n>` or `models/<n>`
    and without a reason, `NotFound` for what is not on the base branch as last fetched, `Refused` without the right:
    that of the owning team, the release managers and the platform team.
    """
    text = clean_reason(reason)
    _require_right(workspace, resource, f"{'open' if state == 'open' else 'close'} the breaker of {resource}")
    order = BreakerOrder(state=state, actor=workspace.actor, reason=text, at=stamp(now()))
    kind = "breaker-open" if state == "open" else "breaker-close"

    def change(current: RoutingTable | None) -> RoutingTable:
        table = require_table(workspace, current)
        source = TableSource(commit=table.source.commit, kind=kind, actor=order.actor, reason=f"{resource}: {text}")
        after = next_table(table, table.agents, table.overlay, source)
        return after.model_copy(update={"breakers": {**table.breakers, resource: order}})

    return publish(workspace.releases, change)


def _require_right(workspace: Workspace, resource: str, action: str) -> None:
    folder, _, name = resource.partition("/")
    if folder not in GUARDED or not name or "@" in name:
        now_ = "name a tool or a model without its version, such as tools/requirement-search"
        raise WrongUse(f"{resource!r} has no breaker", now=now_)
    source = GitSource(workspace.repository, workspace.base_head())
    place = f"registry_repo/{folder}/"
    names = {path.split("/")[2] for path in source.entries() if path.startswith(place) and path.endswith(".yaml")}
    if name not in names:
        hint = did_you_mean(name, names) or f"{folder}: {', '.join(sorted(names)) or 'none'}"
        raise NotFound(f"no {resource} on the base branch", now=hint)
    if workspace.person.is_driver:
        return
    paths = {path for path in source.entries() if path.startswith(f"{place}{name}/") and path.count("/") == 3}
    registry = load_registry(source, only={TEAMS, *paths})
    newest = registry.versions(name, folder)[-1]
    owner = registry.get(f"{folder}/{name}@{newest}").owner
    people_of(registry.teams, owner).require_mover(workspace.actor, action)
