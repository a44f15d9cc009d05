from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts import routing_table as contract
from penstock.contracts.release import Release
from penstock.engine.call import new_run_id
from penstock.engine.dispatch import Dispatcher
from penstock.engine.result import RunResult
from penstock.errors import NotFound, Refused, Unavailable
from penstock.routing import Caller, RoutingTable
from penstock.store.database import open_database
from penstock.store.sessions import SessionStore
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_release
from penstock.testing.fake_provider import FakeProvider, says
from penstock.testing.fake_tools import FakeTools


class Shelf:
    """Releases in memory, as an executor's cache would hold them."""

    def __init__(self, *releases: tuple[Release, bytes]) -> None:
        self.releases = {release.digest: release for release, _ in releases}
        self.blobs = {release.prompt.body: body for release, body in releases}

    def release(self, digest: str) -> Release:
        return self.releases[digest]

    def blob(self, digest: str) -> bytes:
        return self.blobs[digest]


OLD = example_release({"mode": "conversational"})
NEW = example_release({"mode": "conversational", "limits": {"maxSteps": 5}})


def table(rig: Rig, release: Release, **fields: Any) -> RoutingTable:
    prod = contract.Entry(version=release.version, release=release.digest, runtime=rig.name)
    routes = contract.AgentRoutes(**{"prod": prod, **fields})
    source = contract.TableSource(commit=None, kind="promote", actor="test")
    record = contract.RoutingTable(
        lineage="l", generation=1, created_at="2026-01-01T00:00:00Z", source=source, agents={"clerk": routes}
    )
    return RoutingTable(record)


class World:
    """A dispatcher with a table that a test may replace."""

    def __init__(self, sessions: SessionStore | None) -> None:
        self.provider = FakeProvider(lambda call: says(f"answer to {call.messages[-1]['content']}"))
        self.rig = Rig(DirectRuntime, "penstock", self.provider, FakeTools())
        self.table: RoutingTable | None = table(self.rig, OLD[0])
        self.dispatcher = Dispatcher(self.rig.engine, lambda: self.table, Shelf(OLD, NEW), sessions, self.rig.name)

    async def run(self, text: str, session: str | None = None, **wish: Any) -> RunResult:
        mode = wish.pop("mode", "live")
        caller = Caller("acme", "ada", session, new_run_id(), **wish)
        handle = await self.dispatcher.submit("clerk", text, caller, mode=mode)
        return await handle.result()


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[SessionStore]:
    database = open_database(f"sqlite:///{tmp_path}/store.db")
    yield SessionStore(database)
    database.close()


async def test_routes_and_runs() -> None:
    world = World(None)
    result = await world.run("hello")
    assert (result.output, result.stage, result.release) == ("answer to hello", "prod", OLD[0].digest)
    event = world.rig.sink.events()[0]
    assert (event["tenant"], event["actor"], event["runId"]) == ("acme", "ada", result.run_id)


async def test_unknown_agents_and_no_table_are_refused() -> None:
    world = World(None)
    with pytest.raises(NotFound):
        await world.dispatcher.submit("ghost", "x", Caller(None, None, None, "r"))
    world.table = None
    with pytest.raises(Unavailable, match="no routing table"):
        await world.run("hello")


async def test_a_frozen_agent_gives_a_rejected_run_on_record() -> None:
    world = World(None)
    world.table = table(world.rig, OLD[0], status="frozen")
    result = await world.run("hello")
    assert (result.status, world.provider.calls) == ("rejected", [])
    assert isinstance(result.refusal, Refused)
    assert "frozen" in result.refusal.what
    assert world.rig.types() == ["run.rejected"]
    world.table = table(world.rig, OLD[0], status="frozen", prod=None)
    with pytest.raises(Refused):
        await world.run("hello")


async def test_session_needs_the_database() -> None:
    world = World(None)
    with pytest.raises(Unavailable, match="database"):
        await world.run("hello", "s")
    assert world.provider.calls == []


async def test_session_stays_on_its_release_and_keeps_its_history(sessions: SessionStore) -> None:
    world = World(sessions)
    await world.run("one", "s")
    draining = contract.DrainingEntry(
        version="1.0.0", release=OLD[0].digest, runtime=world.rig.name, until="2999-01-01T00:00:00Z"
    )
    world.table = table(world.rig, NEW[0], draining=[draining])
    assert (await world.run("two", "s")).release == OLD[0].digest
    assert (await world.run("two", "another")).release == NEW[0].digest
    said = [message["content"] for message in sessions.history("acme", "clerk", "s")]
    assert said == ["one", "answer to one", "two", "answer to two"]
    told = [call.messages for call in world.provider.calls if call.messages[-1]["content"] == "two"]
    assert [message["content"] for message in told[0][1:]] == ["one", "answer to one", "two"]
    assert len(told[1]) == 2


async def test_session_moves_when_its_release_is_quarantined(sessions: SessionStore) -> None:
    world = World(sessions)
    await world.run("one", "s")
    world.table = table(world.rig, NEW[0], quarantined=[OLD[0].digest])
    assert (await world.run("two", "s")).release == NEW[0].digest
    row = sessions.get("acme", "clerk", "s")
    assert row is not None
    assert row.release == NEW[0].digest


async def test_an_explicit_stage_and_a_dry_run_leave_no_trace_in_a_session(sessions: SessionStore) -> None:
    world = World(sessions)
    dev = contract.Entry(version="1.0.0", release=NEW[0].digest, runtime=world.rig.name)
    world.table = table(world.rig, OLD[0], dev=[dev])
    assert (await world.run("x", "explicit", stage="dev")).release == NEW[0].digest
    assert sessions.get("acme", "clerk", "explicit") is None
    assert (await world.run("x", "dry", mode="dry")).finished
    assert sessions.get("acme", "clerk", "dry") is None
    assert sessions.history("acme", "clerk", "dry") == []


async def test_a_session_that_cannot_be_stored_is_not_answered(sessions: SessionStore) -> None:
    world = World(sessions)

    def away(*_: Any) -> None:
        raise Unavailable("the database is away", where="sqlite", now="wait")

    sessions.append = away  # type: ignore[method-assign,assignment]
    with pytest.raises(Unavailable, match="database is away"):
        await world.run("one", "s")
    assert world.rig.types()[-1] == "run.failed"


async def test_a_release_is_read_once() -> None:
    world = World(None)
    await world.run("one")
    world.dispatcher._releases = Shelf()  # a cache that has lost everything
    assert (await world.run("two")).finished


async def test_the_row_of_a_run_says_why_it_was_routed(sessions: SessionStore) -> None:
    world = World(sessions)
    await world.run("one", "s")
    await world.run("two", "s")
    await world.run("three", "s", stage="prod")
    await world.run("four")
    canary = contract.CanaryEntry(
        version="1.1.0", release=NEW[0].digest, runtime=world.rig.name, weight_bp=0, salt="s", allow={"users": ["ada"]}
    )
    world.table = table(world.rig, OLD[0], canary=canary)
    await world.run("five", "t")
    world.table = table(world.rig, OLD[0], status="frozen")
    await world.run("six")
    rows = [record["run"] for record in world.rig.sink.records if record["kind"] == "run"]
    reasons = [row["routedBy"] for row in rows]
    assert reasons == ["prod", "session", "explicit stage", "prod", "allow-list", None]
