"""Urgent changes: published first, with nothing but the release store, and committed as soon as Git is there."""

import threading
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry, RoutingTable, TableSource
from penstock.contracts.stages import StagesSpec
from penstock.errors import NotFound, PenstockError, WrongUse
from penstock.registry.document_faults import did_you_mean
from penstock.registry.git_command import git_within
from penstock.release.clock import now, stamp
from penstock.release.crash_point import step
from penstock.release.entries import standing_versions
from penstock.release.overlaid import overlay_values, stages_in_force
from penstock.release.people import People, people_of
from penstock.release.workspace import Workspace, agent_registry
from penstock.routing.overlay import apply_overlay
from penstock.routing.publish import next_table, publish

GIT_S = 15.0
"""How long an urgent change that is in force waits for Git to take its commit; then `reconcile` writes it."""
INDEX_S = 15.0
"""How long it waits for the database's catalog."""

MoveOf = Callable[[RoutingTable, str, StagesSpec], StagesSpec]
"""The stages of one agent after the change, from the table in force and its stages there; pure."""


@dataclass(frozen=True, slots=True)
class Urgent:
    """An urgent change that is in force: its table, and why its commit is still to come (empty: it is written)."""

    kind: str
    agents: tuple[str, ...]
    table: RoutingTable
    pending: str = ""


def publish_urgent(workspace: Workspace, kind: str, agents: Mapping[str, MoveOf], reason: str) -> RoutingTable:
    """Puts the change into force as an overlay of the table; entries and source.commit are copied from it.

    Raises `WrongUse` without a reason, `NotFound` for an agent that is in no table, `Refused` without the right (by
    the base branch as last fetched) or when the move makes no sense, `Unavailable` when the release store is away.
    """
    text = clean_reason(reason)
    actor = workspace.actor
    if not workspace.person.is_driver:
        for agent in agents:
            agent_people(workspace, agent).require_mover(actor, kind)
    ids = {agent: str(uuid.uuid4()) for agent in agents}
    at = stamp(now())

    def change(current: RoutingTable | None) -> RoutingTable:
        table = require_table(workspace, current)
        routes = dict(table.agents)
        overlay = {name: list(entries) for name, entries in table.overlay.items()}
        for agent, move in agents.items():
            head = {"id": ids[agent], "kind": kind, "actor": actor, "reason": text, "at": at}
            entry = _entry(workspace, table, agent, move, head)
            routes[agent] = apply_overlay(table.agents[agent], [entry])
            overlay.setdefault(agent, []).append(entry)
        source = TableSource(commit=table.source.commit, kind=kind, actor=actor, reason=text)
        step("urgent change made")
        return next_table(table, routes, overlay, source)

    table = publish(workspace.releases, change)
    step("urgent change published")
    return table


def finish_urgent(workspace: Workspace, kind: str, agents: Mapping[str, MoveOf], reason: str) -> Urgent:
    """Publishes the change, then tries to commit it; a Git that is away only leaves the commit to `reconcile`.

    What is in force is in force before Git or the database is asked, and neither is waited for without end.
    """
    from penstock.release.pending import commit_pending
    from penstock.release.publish import Cause, publish_head

    table = publish_urgent(workspace, kind, agents, reason)
    try:
        with git_within(GIT_S):
            workspace.fetch()
            waits = [commit_pending(workspace, table, agent).waits for agent in agents]
            cause = Cause("reconcile", workspace.actor, f"{kind} is committed")
            published = publish_head(workspace, workspace.base_head(), cause)
            head = workspace.base_head()
    except PenstockError as error:
        return Urgent(kind, tuple(agents), table, pending=error.what)
    _refresh_catalog(workspace, head)
    return Urgent(kind, tuple(agents), published.table or table, pending="; ".join(filter(None, waits)))


def _refresh_catalog(workspace: Workspace, head: str) -> None:
    """In a thread of its own: a database that hangs keeps no client's call from waiting, so the call is left alone."""
    from penstock.release.catalog import refresh_catalog

    def refresh() -> None:
        apart = workspace.acting_as(workspace.person)
        try:
            refresh_catalog(apart, head)
        finally:
            apart.close()

    thread = threading.Thread(target=refresh, name="penstock-catalog", daemon=True)
    thread.start()
    thread.join(INDEX_S)


def clean_reason(text: str) -> str:
    """A reason as records hold it: one line, NFC; raises `WrongUse` for an empty one."""
    cleaned = unicodedata.normalize("NFC", " ".join(text.split()))
    if not cleaned:
        raise WrongUse("a reason is needed", now="give it by --reason TEXT: it is shown wherever the change is")
    return cleaned


def require_table(workspace: Workspace, table: RoutingTable | None) -> RoutingTable:
    """The table; raises `NotFound` before the first."""
    if table is None:
        raise NotFound(
            "there is no routing table yet", where=workspace.releases.url, now="`agentctl reconcile` makes the first"
        )
    return table


def require_routes(table: RoutingTable, agent: str) -> AgentRoutes:
    """The agent's entry; raises `NotFound` with the nearest name."""
    routes = table.agents.get(agent)
    if routes is None:
        hint = did_you_mean(agent, table.agents)
        raise NotFound(
            f"no agent {agent!r} in routing table {table.generation}",
            now=hint or f"known: {', '.join(table.agents) or 'none'}",
        )
    return routes


def agent_people(workspace: Workspace, agent: str) -> People:
    """The people around an agent, by the base branch as last fetched: rights need no network."""
    registry = agent_registry(workspace.repository, workspace.base_head(), agent)
    versions = registry.versions(agent)
    if not versions:
        raise NotFound(
            f"no agent {agent!r} on the base branch",
            now=did_you_mean(agent, registry.agents()) or f"known: {', '.join(registry.agents()) or 'none'}",
        )
    return people_of(registry.teams, registry.agent(agent, versions[-1]).owner)


def _entry(
    workspace: Workspace, table: RoutingTable, agent: str, move: MoveOf, head: Mapping[str, str]
) -> OverlayEntry:
    routes = require_routes(table, agent)
    before = stages_in_force(table, agent)
    after = move(table, agent, before)
    releases = known_releases(workspace, routes, agent, after)
    return OverlayEntry.model_validate({**head, **overlay_values(routes, before, after, releases)})


def known_releases(workspace: Workspace, routes: AgentRoutes, agent: str, spec: StagesSpec) -> dict[str, str]:
    """Version -> release of all that stands by `spec`: from the table, else by its name in the release store."""
    single = [one for one in (routes.prod, routes.canary, routes.previous) if one is not None]
    known = {one.version: one.release for one in [*single, *routes.dev, *routes.draining]}
    for version in standing_versions(spec):
        bound = known.get(version) or workspace.releases.named_release(agent, version)
        if bound is not None:
            known[version] = bound
    return known
