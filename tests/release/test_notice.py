"""What is told of the step from one routing table to the next: pure, by hand-made tables."""

from typing import Any

import pytest

from penstock.contracts.routing_table import AgentRoutes, CanaryEntry, Entry, OverlayEntry, RoutingTable, TableSource
from penstock.release.notice import notices

DIGESTS = {version: f"sha256:{number:064x}" for number, version in enumerate(("1.0.0", "1.1.0", "1.2.0"))}
HOLD = {"by": "mia@example.org", "since": "2026-11-20T10:00:00.000000Z", "reason": "wrong"}


def at(version: str) -> Entry:
    return Entry(version=version, release=DIGESTS[version], runtime="direct")


def canary(version: str, weight_bp: int = 2_000, step: int = 1) -> CanaryEntry:
    return CanaryEntry(**at(version).model_dump(), weight_bp=weight_bp, step=step, salt=DIGESTS[version])


def table(generation: int, agents: dict[str, AgentRoutes], kind: str = "promote", **more: Any) -> RoutingTable:
    source = TableSource(
        commit="c" * 40, kind=kind, actor="ada@example.org", reason="helper@1.0.0", previous_generation=generation - 1
    )
    created = "2026-11-20T10:00:00.000000Z"
    return RoutingTable(lineage="L", generation=generation, created_at=created, source=source, agents=agents, **more)


DEV = AgentRoutes(dev=[at("1.0.0")])
CANARY = AgentRoutes(prod=at("1.0.0"), canary=canary("1.1.0"), dev=[at("1.2.0")])
PROD = AgentRoutes(prod=at("1.1.0"), previous=at("1.0.0"), dev=[at("1.2.0")])


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (None, DEV, ("arrived",)),
        (DEV, AgentRoutes(canary=canary("1.0.0")), ("promoted",)),
        (CANARY, AgentRoutes(prod=at("1.1.0"), previous=at("1.0.0"), dev=[at("1.2.0")]), ("promoted",)),
        (CANARY, CANARY.model_copy(update={"canary": canary("1.1.0", 5_000, 2)}), ("advanced",)),
        (CANARY, AgentRoutes(prod=at("1.0.0"), dev=[at("1.2.0"), at("1.1.0")], hold=HOLD), ("rolledback", "held")),
        (
            PROD,
            AgentRoutes(prod=at("1.0.0"), dev=[at("1.2.0"), at("1.1.0")], hold=HOLD, quarantined=[DIGESTS["1.1.0"]]),
            ("rolledback", "held", "quarantined"),
        ),
        (PROD, PROD.model_copy(update={"status": "frozen"}), ("frozen",)),
        (PROD.model_copy(update={"status": "frozen"}), PROD, ("thawed",)),
        (PROD, PROD.model_copy(update={"status": "disabled"}), ("disabled",)),
        (PROD.model_copy(update={"hold": HOLD}), PROD, ("unheld",)),
        (PROD.model_copy(update={"quarantined": [DIGESTS["1.2.0"]]}), PROD, ("unquarantined",)),
        (PROD, PROD.model_copy(update={"dev": [], "disabled": ["1.2.0"]}), ("retired",)),
        (PROD, PROD.model_copy(update={"dev": [], "deprecated": ["1.2.0"]}), ("retired",)),
        # a promotion deprecates what was previous: that is no retirement of its own
        (
            AgentRoutes(prod=at("1.1.0"), previous=at("1.0.0"), canary=canary("1.2.0")),
            AgentRoutes(prod=at("1.2.0"), previous=at("1.1.0"), deprecated=["1.0.0"]),
            ("promoted",),
        ),
        # two commits between two tables: dev -> canary -> prod
        (AgentRoutes(dev=[at("1.0.0")]), AgentRoutes(prod=at("1.0.0")), ("promoted",)),
        (CANARY, CANARY.model_copy(update={"canary": None, "disabled": ["1.1.0"]}), ("retired",)),
        (PROD, PROD.model_copy(update={"sticky_by": "user"}), ("changed",)),
    ],
)
def test_what_happened_follows_from_the_two_entries(
    before: AgentRoutes | None, after: AgentRoutes, kinds: tuple[str, ...]
) -> None:
    old = table(4, {"helper": before} if before is not None else {})
    [notice] = notices(old, table(5, {"helper": after}))
    assert notice.kinds == kinds
    assert (notice.id, notice.source) == ("L/5/helper", "urn:uuid:L")
    assert notice.type == f"dev.penstock.release.{kinds[0]}"


def test_a_table_that_only_names_other_commits_is_no_news() -> None:
    other = CANARY.model_copy(update={"commit": "d" * 40})
    swapped = PROD.model_copy(update={"dev": [at("1.2.0"), at("1.0.0")], "previous": None})
    turned = PROD.model_copy(update={"dev": [at("1.0.0"), at("1.2.0")], "previous": None, "commit": "e" * 40})
    before, after = table(4, {"a": CANARY, "b": swapped}), table(5, {"a": other, "b": turned}, "reconcile")
    assert notices(before, after) == []


def test_only_agents_that_changed_are_told_of_and_no_reason_is_another_agents() -> None:
    before = table(4, {"a": PROD, "b": DEV, "c": DEV})
    after = table(5, {"a": PROD, "b": AgentRoutes(canary=canary("1.0.0")), "c": CANARY})
    told = notices(before, after, "https://agents.example.org/")
    assert [notice.agent for notice in told] == ["b", "c"]
    assert [notice.data["reason"] for notice in told] == ["", ""]
    [alone] = notices(before, table(5, {"a": PROD, "b": AgentRoutes(canary=canary("1.0.0")), "c": DEV}))
    assert (alone.data["reason"], alone.data["actor"], alone.data["kind"]) == (
        "helper@1.0.0",
        "ada@example.org",
        "promote",
    )
    assert told[0].data["links"]["routes"] == "https://agents.example.org/v1/routes"
    assert told[0].data["traffic"] == {
        "before": {"dev": "1.0.0 on request only"},
        "after": {"canary": "1.0.0 on request only"},
    }
    assert told[0].data["before"]["dev"][0]["release"] == DIGESTS["1.0.0"]


def test_an_urgent_change_says_itself_who_made_it_and_why() -> None:
    entry = OverlayEntry.model_validate(
        {"id": "1", "kind": "rollback", "actor": "mia@example.org", "reason": "wrong", "at": "now", "set": {}}
    )
    after = AgentRoutes(prod=at("1.0.0"), dev=[at("1.2.0"), at("1.1.0")], hold=HOLD)
    urgent = table(5, {"helper": after}, "reconcile", overlay={"helper": [entry]})
    [notice] = notices(table(4, {"helper": PROD}), urgent)
    assert (notice.data["kind"], notice.data["actor"], notice.data["reason"], notice.data["commit"]) == (
        "rollback",
        "mia@example.org",
        "wrong",
        None,
    )
    committed = table(6, {"helper": after.model_copy(update={"commit": "d" * 40})}, "reconcile")
    assert notices(urgent, committed) == []


def test_a_version_that_an_overlay_retires_is_told_of_once() -> None:
    entry = OverlayEntry.model_validate(
        {"id": "1", "actor": "m", "reason": "r", "at": "now", "retired": {"deprecated": ["1.2.0"], "disabled": []}}
    )
    gone = PROD.model_copy(update={"dev": []})
    urgent = table(5, {"helper": gone}, "deprecate", overlay={"helper": [entry]})
    committed = table(6, {"helper": gone.model_copy(update={"deprecated": ["1.2.0"]})}, "reconcile")
    assert [notice.kinds for notice in notices(table(4, {"helper": PROD}), urgent)] == [("retired",)]
    assert notices(urgent, committed) == []
