"""The routing table as executors use it: loaded once, asked for every request."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from penstock.contracts import routing_table as contract
from penstock.contracts.model_choice import Complexity
from penstock.contracts.routing_table import AgentRoutes, CanaryEntry, DegradedEntry, Entry
from penstock.errors import NotFound, Refused, Unavailable, WrongUse
from penstock.routing.bucket import bucket
from penstock.routing.table_shape import WHOLE_BP, Document, named_releases, read_table
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore

_NO_ORDERS: Document = {}

Reason = Literal["explicit version", "explicit stage", "session", "allow-list", "canary weight", "prod"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for what; `version` and `stage` are explicit wishes (a permission of their own).

    `complexity` is what he says of the task: it chooses among the release's models, never a release.
    Without `uses_cache` every call is made anew.
    """

    tenant: str | None
    user: str | None
    session: str | None
    run_id: str
    version: str | None = None
    stage: str | None = None
    complexity: Complexity | None = None
    uses_cache: bool = True

    @property
    def is_explicit(self) -> bool:
        """Whether the caller named a version or stage; such a run never pins its session."""
        return self.version is not None or self.stage is not None


@dataclass(frozen=True, slots=True)
class Route:
    """Which release answers, on which runtime, in which stage, and why; `generation` is the table's.

    `degraded`: which of its models is asked first, by an operator's word; never of what is tried in dev.
    """

    agent: str
    version: str
    release: str
    runtime: str
    stage: str
    reason: Reason
    generation: int
    degraded: DegradedEntry | None = None


@dataclass(frozen=True, slots=True)
class _Standing:
    """An entry and where it stands; `until` (Unix seconds) only of a draining one."""

    stage: str
    place: str
    entry: Entry
    until: float | None = None


class _AgentRouting:
    """One agent's entry, prepared for many questions."""

    def __init__(self, name: str, routes: AgentRoutes) -> None:
        self.name = name
        self.routes = routes
        self.standings = _standings(routes)
        self.quarantined = frozenset(routes.quarantined)
        self.disabled = frozenset(routes.disabled)
        canary = routes.canary
        self.canary: CanaryEntry | None = canary if canary is not None and not self.blocked(canary) else None
        allow = canary.allow if canary is not None else {}
        self.allowed_tenants = frozenset(allow.get("tenants") or ())
        self.allowed_users = frozenset(allow.get("users") or ())
        self.allowed_sessions = frozenset(allow.get("sessions") or ())

    def blocked(self, entry: Entry) -> str | None:
        """Why this entry may answer nobody; None if it may."""
        if entry.release in self.quarantined:
            return f"release {entry.release} is quarantined"
        if entry.version in self.disabled:
            return f"version {entry.version} is disabled"
        return None

    def allows(self, caller: Caller) -> bool:
        """Whether the canary's allow-list names the caller."""
        return (
            caller.tenant in self.allowed_tenants
            or caller.user in self.allowed_users
            or caller.session in self.allowed_sessions
        )

    def key(self, caller: Caller) -> str:
        """What stays together: `stickyBy`, else session, user, run id."""
        sticky = getattr(caller, self.routes.sticky_by)
        return sticky or caller.session or caller.user or caller.run_id


class RoutingTable:
    """One generation of pointers; immutable, safe to ask from any thread.

    What a table holds is checked when it is read; the contract's models are made when they are asked for.
    """

    def __init__(self, table: contract.RoutingTable | Document) -> None:
        self._document = table.as_document() if isinstance(table, contract.RoutingTable) else table
        self.generation: int = self._document["generation"]
        self.lineage: str = self._document["lineage"]
        self._agents: dict[str, _AgentRouting] = {}

    @classmethod
    def load(cls, path_or_url: str | Path) -> "RoutingTable":
        """The table in a file, or the one in force in a release store (a folder or URL).

        Raises `Unavailable` when it cannot be read, `NotFound` when there is none, `Invalid` when it is torn.
        """
        place = str(path_or_url)
        if "://" not in place and Path(place).is_file():
            try:
                return cls.from_bytes(Path(place).read_bytes(), where=place)
            except OSError as error:
                raise Unavailable(f"cannot be read: {error.strerror}", where=place, now="check the file") from None
        newest = ReleaseStore(open_objects(place)).newest_table()
        if newest is None:
            raise NotFound("there is no routing table yet", where=place, now="`agentctl promote` makes the first")
        return cls(newest)

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "routing table") -> "RoutingTable":
        """The table in `data`; raises `Invalid` when it is torn or breaks the contract."""
        return cls(read_table(data, where))

    @cached_property
    def record(self) -> contract.RoutingTable:
        """The table as the contract's model."""
        return contract.RoutingTable.model_validate(self._document)

    @property
    def releases(self) -> frozenset[str]:
        """The digests of all releases that the table names."""
        return frozenset(named_releases(self._document))

    @property
    def breakers(self) -> Mapping[str, Document]:
        """What operators ordered about breakers, by resource; the same object each time."""
        return self._document.get("breakers", _NO_ORDERS)  # type: ignore[no-any-return]

    def as_document(self) -> Document:
        """The table as a JSON object."""
        return self._document

    def agents(self) -> list[str]:
        """The names of all agents in the table, sorted."""
        return sorted(self._document.get("agents", {}))

    def select(self, agent: str, caller: Caller, pinned: str | None = None) -> Route:
        """The release that answers `caller`; `pinned` is the release that the caller's session is on.

        Raises `NotFound` for an unknown agent or a version that stands nowhere, `Refused` when the agent is frozen or
        disabled, the wish is quarantined or disabled, or nothing stands in prod.
        """
        routing = self._agents.get(agent) or self._prepare(agent)
        if routing.routes.status != "active":
            raise self._stopped(routing)
        if caller.version is not None or caller.stage is not None:
            return self._explicit(routing, caller)
        if pinned is not None:
            standing = _kept(routing, pinned)
            if standing is not None:
                return self._route(agent, standing.entry, standing.stage, "session")
        canary = routing.canary
        if canary is not None:
            if routing.allows(caller):
                return self._route(agent, canary, "canary", "allow-list")
            # Without a prod there is nothing to share with: a first version's canary is met by wish alone.
            if routing.routes.prod is not None and (
                bucket(f"{canary.salt}:{routing.key(caller)}", WHOLE_BP) < canary.weight_bp
            ):
                return self._route(agent, canary, "canary", "canary weight")
        return self._prod(routing)

    def _prod(self, routing: _AgentRouting) -> Route:
        prod = routing.routes.prod
        if prod is None:
            raise Refused(
                f"nothing of {routing.name} stands in prod",
                where=f"routing table {self.generation}",
                now="name a stage or version, or promote one to prod",
            )
        blocked = routing.blocked(prod)
        if blocked:
            raise Refused(f"prod of {routing.name} may not answer: {blocked}", now="roll back, or promote another")
        return self._route(routing.name, prod, "prod", "prod")

    def _explicit(self, routing: _AgentRouting, caller: Caller) -> Route:
        found = [
            standing
            for standing in routing.standings
            if caller.version in (None, standing.entry.version)
            and caller.stage in (None, standing.place)
            and not _is_over(standing)
        ]
        if not found:
            raise self._standing_nowhere(routing, caller)
        if caller.version is None and len(found) > 1:
            versions = ", ".join(standing.entry.version for standing in found)
            raise WrongUse(
                f"{len(found)} versions of {routing.name} stand in {caller.stage}: {versions}", now="name one of them"
            )
        blocked = routing.blocked(found[0].entry)
        if blocked:
            raise Refused(f"{routing.name}: {blocked}", now="name another version")
        reason: Reason = "explicit version" if caller.version is not None else "explicit stage"
        return self._route(routing.name, found[0].entry, found[0].stage, reason)

    def _standing_nowhere(self, routing: _AgentRouting, caller: Caller) -> NotFound | Refused:
        if caller.version in routing.disabled:
            return Refused(f"{routing.name}: version {caller.version} is disabled", now="name another version")
        wish = " in ".join(filter(None, [f"version {caller.version}" if caller.version else "", caller.stage]))
        standing = ", ".join(f"{one.entry.version} ({one.place})" for one in routing.standings) or "nothing"
        return NotFound(f"{routing.name}: {wish or 'it'} stands nowhere", now=f"standing: {standing}")

    def _prepare(self, agent: str) -> _AgentRouting:
        document = self._document.get("agents", {}).get(agent)
        if document is None:
            known = ", ".join(self.agents()) or "none"
            raise NotFound(f"no agent {agent!r} in routing table {self.generation}", now=f"known: {known}")
        routing = self._agents[agent] = _AgentRouting(agent, AgentRoutes.model_validate(document))
        return routing

    def _stopped(self, routing: _AgentRouting) -> Refused:
        status = routing.routes.status
        overlay = self._document.get("overlay", {}).get(routing.name, [])
        reasons = [entry["reason"] for entry in overlay if "status" in entry.get("set", {})]
        because = f": {reasons[-1]}" if reasons else ""
        now = "`agentctl thaw` lets new runs in again" if status == "frozen" else "ask its owner"
        return Refused(f"{routing.name} is {status} and takes no new run{because}", now=now)

    def _route(self, agent: str, entry: Entry, stage: str, reason: Reason) -> Route:
        degraded = self._agents[agent].routes.degraded if stage != "dev" else None
        return Route(agent, entry.version, entry.release, entry.runtime, stage, reason, self.generation, degraded)


def _standings(routes: AgentRoutes) -> list[_Standing]:
    """Where versions stand, most used first; what drains or was before counts as stage prod, from where it came."""
    standings = []
    if routes.prod is not None:
        standings.append(_Standing("prod", "prod", routes.prod))
    if routes.canary is not None:
        standings.append(_Standing("canary", "canary", routes.canary))
    standings += [_Standing("dev", "dev", entry) for entry in routes.dev]
    standings += [_Standing("prod", "draining", entry, _unix(entry.until)) for entry in routes.draining]
    if routes.previous is not None:
        standings.append(_Standing("prod", "previous", routes.previous))
    return standings


def _kept(routing: _AgentRouting, pinned: str) -> _Standing | None:
    """Where a session's release still answers it: anywhere but in quarantine, disabled, drained or long replaced."""
    for standing in routing.standings:
        if standing.entry.release == pinned and standing.place != "previous" and not _is_over(standing):
            return None if routing.blocked(standing.entry) else standing
    return None


def _is_over(standing: _Standing) -> bool:
    return standing.until is not None and standing.until <= time.time()


def _unix(moment: str) -> float:
    """Unix seconds of an RFC 3339 time; 0 (long over) for one that cannot be read."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
