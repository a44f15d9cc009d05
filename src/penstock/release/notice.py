"""Notices: what changed for whom between two routing tables, as the outside is told of it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.contracts.routing_table import OverlayEntry, RoutingTable
from penstock.contracts.stages import StagesSpec
from penstock.release.lifecycle import EMPTY, place_of, places
from penstock.release.overlaid import stages_in_force
from penstock.release.plan import traffic

TYPE_PREFIX = "dev.penstock.release."
STATUS_KINDS = {"active": "thawed", "frozen": "frozen", "disabled": "disabled"}
LISTS = ("dev", "draining", "deprecated", "disabled", "quarantined")


@dataclass(frozen=True, slots=True)
class Notice:
    """One agent's change of standing by one table. `kinds` is never empty; the first names the event."""

    agent: str
    kinds: tuple[str, ...]
    lineage: str
    generation: int
    at: str
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The same whenever it is told again."""
        return f"{self.lineage}/{self.generation}/{self.agent}"

    @property
    def source(self) -> str:
        """The release store, as a URI."""
        return f"urn:uuid:{self.lineage}"

    @property
    def type(self) -> str:
        """The event's type, as dev.penstock.release.promoted."""
        return f"{TYPE_PREFIX}{self.kinds[0]}"

    def as_document(self) -> dict[str, Any]:
        """The notice as a JSON object: attributes and data of the event."""
        head = {"id": self.id, "source": self.source, "type": self.type, "subject": self.agent, "time": self.at}
        return {**head, "data": self.data}

    def __str__(self) -> str:
        return f"{self.agent}: {', '.join(self.kinds)} by routing table {self.generation}"


def notices(before: RoutingTable | None, after: RoutingTable, executor_url: str = "") -> list[Notice]:
    """One notice for each agent whose standing changed, by name; `before` None: there was no table.

    A table that only says which commit an entry now is of changes no standing. `executor_url` goes into the links.
    """
    names = sorted({*after.agents, *(before.agents if before is not None else ())})
    changed = [agent for agent in names if _standing(before, agent) != _standing(after, agent)]
    return [_notice(before, after, agent, executor_url, alone=len(changed) == 1) for agent in changed]


def _notice(before: RoutingTable | None, after: RoutingTable, agent: str, executor_url: str, *, alone: bool) -> Notice:
    old, new = _stages(before, agent), _stages(after, agent)
    kinds = tuple(dict.fromkeys(_kinds(old, new))) or ("changed",)
    commits = [table.agents[agent].commit if table is not None and agent in table.agents else None
               for table in (before, after)]  # fmt: skip
    base = executor_url.rstrip("/")
    data = {
        "agent": agent,
        "changes": list(kinds),
        "before": _standing(before, agent),
        "after": _standing(after, agent),
        "traffic": {"before": traffic(old), "after": traffic(new)},
        "generation": after.generation,
        "previousGeneration": after.source.previous_generation,
        "commit": commits[1] if commits[1] != commits[0] else None,
        **_cause(before, after, agent, alone=alone),
        "links": {"routes": f"{base}/v1/routes", "agents": f"{base}/v1/agents"} if base else {},
    }
    return Notice(agent, kinds, after.lineage, after.generation, after.created_at, data)


def _cause(before: RoutingTable | None, after: RoutingTable, agent: str, *, alone: bool) -> dict[str, str]:
    """Who made the change and why: an urgent change says so itself, all else the table.

    A table's reason is about the one agent that it was published for: with several changed, nobody's is taken for it.
    """
    known = {entry.id for entry in before.overlay.get(agent, ())} if before is not None else set()
    urgent: list[OverlayEntry] = [entry for entry in after.overlay.get(agent, ()) if entry.id not in known]
    if urgent:
        last = urgent[-1]
        kind = str((last.model_extra or {}).get("kind", after.source.kind))
        return {"kind": kind, "actor": last.actor, "reason": last.reason}
    source = after.source
    return {"kind": source.kind, "actor": source.actor, "reason": source.reason if alone else ""}


def _stages(table: RoutingTable | None, agent: str) -> StagesSpec:
    return stages_in_force(table, agent) if table is not None and agent in table.agents else EMPTY


def _standing(table: RoutingTable | None, agent: str) -> dict[str, Any] | None:
    """Everything that an entry says but the commit that it is of; the order within its lists says nothing."""
    if table is None or agent not in table.agents:
        return None
    document = table.agents[agent].as_document()
    del document["commit"]
    stages = stages_in_force(table, agent)
    document |= {"deprecated": list(stages.deprecated), "disabled": list(stages.disabled)}
    for field in LISTS:
        document[field] = sorted(document[field], key=lambda one: one if isinstance(one, str) else one["version"])
    return document


def _kinds(before: StagesSpec, after: StagesSpec) -> Iterator[str]:
    """What happened, what matters most first."""
    moves = [*_prod_moves(before, after), *_canary_moves(before, after)]
    yield from sorted(moves, key=("rolledback", "promoted", "advanced").index)
    if before.status != after.status:
        yield STATUS_KINDS[after.status]
    if before.hold != after.hold:
        yield "held" if after.hold is not None else "unheld"
    if before.degraded != after.degraded:
        yield "degraded" if after.degraded is not None else "undegraded"
    if set(after.quarantined) - set(before.quarantined):
        yield "quarantined"
    if set(before.quarantined) - set(after.quarantined):
        yield "unquarantined"
    if any(version not in places(before) for version in (one.version for one in after.dev)):
        yield "arrived"
    deprecated = set(after.deprecated) - set(before.deprecated)
    if set(after.disabled) - set(before.disabled) or (deprecated and not moves):  # a promotion deprecates on its way
        yield "retired"


def _prod_moves(before: StagesSpec, after: StagesSpec) -> Iterator[str]:
    if after.prod is None or (before.prod is not None and before.prod.version == after.prod.version):
        return
    yield "rolledback" if place_of(before, after.prod.version) in {"previous", "deprecated"} else "promoted"


def _canary_moves(before: StagesSpec, after: StagesSpec) -> Iterator[str]:
    old, new = before.canary, after.canary
    if new is not None and (old is None or old.version != new.version):
        yield "promoted"
    elif new is not None and old is not None:
        if (old.step, old.weight_bp, old.since) != (new.step, new.weight_bp, new.since):
            yield "advanced"
    elif old is not None and place_of(after, old.version) == "dev":
        yield "rolledback"
