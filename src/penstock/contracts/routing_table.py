"""RoutingTable: the pointers that executors follow."""

from typing import Any, Literal

from pydantic import Field

from penstock.contracts.document import Digest, Record, Version
from penstock.contracts.stages import Status

ROUTING_SCHEMA = "penstock.dev/routing/v1"


class Entry(Record):
    """A version in the table, with the release that it is."""

    version: Version
    release: Digest
    runtime: str


class CanaryEntry(Entry):
    """The canary and its share; `salt` is its digest, so that each canary meets other users."""

    weight_bp: int = Field(ge=0, le=10_000, description="Share of requests, hundredths of a percent.")
    salt: str
    step: int = 1
    since: str = ""
    allow: dict[str, list[str]] = Field(default_factory=dict, description="tenants, users, sessions.")
    began: str = ""


class DrainingEntry(Entry):
    """A version that answers the sessions that are on it, until `until`."""

    until: str


class DegradedEntry(Record):
    """The model that runs ask first, by an operator's word."""

    model: str = Field(description="models/<n>@<v>; a release that pins another version of it asks that one.")
    by: str
    since: str
    reason: str


class AgentRoutes(Record):
    """One agent's entry: its stages file at `commit`, the overlay applied."""

    status: Status = "active"
    sticky_by: Literal["session", "user", "tenant"] = "session"
    commit: str | None = Field(None, description="The commit of the stages file that this entry says.")
    prod: Entry | None = None
    canary: CanaryEntry | None = None
    previous: Entry | None = None
    dev: list[Entry] = Field(default_factory=list)
    draining: list[DrainingEntry] = Field(default_factory=list)
    deprecated: list[Version] = Field(default_factory=list)
    disabled: list[Version] = Field(default_factory=list)
    quarantined: list[Digest] = Field(default_factory=list)
    hold: dict[str, Any] | None = None
    degraded: DegradedEntry | None = None


class TableSource(Record):
    """What made the table."""

    commit: str | None
    kind: str = Field(description="promote, rollback, reconcile, freeze, thaw, ...")
    actor: str
    reason: str = ""
    previous_generation: int | None = None


class Quarantine(Record):
    """Digests put under and taken out of quarantine."""

    add: list[Digest] = Field(default_factory=list)
    remove: list[Digest] = Field(default_factory=list)


class OverlayEntry(Record):
    """An urgent change of one agent whose commit is still to be written."""

    id: str
    set: dict[str, Any] = Field(default_factory=dict, description="Field of the entry -> whole value; null clears.")
    quarantine: Quarantine = Field(default_factory=Quarantine)
    actor: str
    reason: str
    at: str


class BreakerOrder(Record):
    """An operator's last word on the breaker of a tool or a model."""

    state: Literal["open", "closed"] = Field(
        description="open = no call until there is another word; closed = what was counted before `at` is forgotten."
    )
    actor: str
    reason: str
    at: str


class RoutingTable(Record):
    """routing/<generation>.json: created once, never overwritten."""

    schema_: Literal["penstock.dev/routing/v1"] = Field("penstock.dev/routing/v1", alias="schema")
    lineage: str
    generation: int = Field(ge=1)
    created_at: str
    source: TableSource
    agents: dict[str, AgentRoutes] = Field(default_factory=dict)
    overlay: dict[str, list[OverlayEntry]] = Field(default_factory=dict)
    breakers: dict[str, BreakerOrder] = Field(default_factory=dict, description="By resource: tools/<n>, models/<n>.")
