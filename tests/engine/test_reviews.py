"""Calls that wait for a person, on the real database: asked once, decided once, made once, by another engine."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from penstock.adapters.direct import DirectRuntime
from penstock.adapters.langgraph import LangGraphRuntime
from penstock.engine.engine import RunHandle
from penstock.engine.journal import Journal
from penstock.engine.lease import Postponed
from penstock.engine.queued_lease import QueuedLease, read_past
from penstock.engine.result import RunResult
from penstock.engine.sequence import sequence_of
from penstock.pal import Runtime
from penstock.store.database import Database, open_database
from penstock.store.queue import NewRun, RunQueue, Terms
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import LeaseLost, LeaseStore
from penstock.store.reviews import ReviewStore, Word
from penstock.store.runs import RunStore
from penstock.store.tables_queue import queued_runs
from penstock.testing.conformance.rig import PATIENCE_S, Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

RUN = "00000000-0000-7000-8000-000000000001"
BONN: dict[str, Any] = {"town": "Bonn"}
ROME: dict[str, Any] = {"town": "Rome"}
WRITES: dict[str, Any] = {"weather": {"sideEffects": "write"}}
PLAIN: dict[str, Any] = {**WRITES, "plain": {"sideEffects": "write"}}
HUMAN: dict[str, Any] = {"fallback": {"human": {"tools": ["weather"]}}}


def failing() -> dict[str, Any]:
    return {"fallback": {"human": {"tools": ["weather"], "expiresMinutes": 1, "onExpiry": "fail"}}}


@dataclass
class Place:
    """A database with one queued run, and engines that take it."""

    database: Database
    adapter: type[Runtime]
    tools: Mapping[str, Any]
    agent: Mapping[str, Any]

    def engine(self, provider: FakeProvider, tools: FakeTools | None = None) -> Rig:
        name = "langgraph" if self.adapter is LangGraphRuntime else "penstock"
        return Rig(self.adapter, name, provider, tools or FakeTools(weather=weather, plain=weather))

    def start(self, rig: Rig, **fields: Any) -> RunHandle:
        """Leases the run and starts its next attempt on that engine."""
        store = LeaseStore(self.database, rig.name, 10)
        [leased] = store.claim(1, 1)
        past, history = read_past(RunStore(self.database), leased.row)
        call = rig.call(self.agent, tools=self.tools, **fields)
        return rig.start(replace(call, run_id=RUN, lease=QueuedLease(store, leased.row, 3, past), history=history))

    async def asks(self, rig: Rig, **fields: Any) -> None:
        """An attempt that stops for a person."""
        with pytest.raises(Postponed) as stopped:
            await ended(self.start(rig, **fields))
        assert stopped.value.awaits_review

    def decide(self, outcome: Any = "approved", *, call: int = 0, **more: Any) -> None:
        reviews = ReviewStore(self.database).reviews(state=None)
        word = Word(outcome, more.get("by", "ada"), more.get("comment"), more.get("arguments"))
        ReviewStore(self.database).decide(RUN, reviews[call].call_id, word)

    def due(self) -> None:
        """Lets a lease run out."""
        with self.database.write() as connection:
            connection.execute(update(queued_runs).values(due="2020-01-01T00:00:00.000000Z"))

    def status(self) -> str:
        row = RunQueue(self.database).get(RUN)
        assert row is not None
        return row.status

    def events(self) -> list[dict[str, Any]]:
        return RunStore(self.database).events(RUN)

    def count(self, kind: str) -> int:
        return Counter(one["type"] for one in self.events())[kind]


@pytest.fixture(params=[DirectRuntime, LangGraphRuntime], ids=["direct", "langgraph"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    database = open_database(f"sqlite:///{tmp_path}/store.db")
    RunQueue(database).accept(NewRun(RUN, "hello"), Terms("acme", "clerk"))
    yield Place(database, request.param, WRITES, HUMAN)
    database.close()


async def ended(handle: RunHandle) -> RunResult:
    return await asyncio.wait_for(handle.result(), PATIENCE_S)


def weather(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": 4}


def made(rig: Rig) -> list[Mapping[str, Any]]:
    """The arguments of the calls that reached a tool."""
    return [call.arguments for call in rig.tools.calls]


async def test_an_approved_call_is_made_once_by_another_engine_and_replays(place: Place) -> None:
    first = place.engine(FakeProvider(asks(("weather", BONN))))
    await place.asks(first, tenant="acme", user="max")
    assert (place.status(), made(first), DeadLetters(place.database).rows()) == ("review", [], [])
    assert LeaseStore(place.database, "other", 10).claim(1, 1) == []
    [asked] = ReviewStore(place.database).reviews(tenant="acme")
    assert (asked.tool, asked.arguments, asked.facts["user"]) == ("weather", BONN, "max")
    told = [one["type"] for one in place.events()][-2:]
    assert told == ["review.requested", "run.interrupted"]
    assert place.count("tool.started") == 0
    assert "Bonn" not in str([one["data"] for one in place.events()])

    place.decide(comment="looks right")
    assert place.status() == "queued"
    second = place.engine(FakeProvider(says("done")))
    result = await ended(place.start(second, tenant="acme", user="max"))
    assert (result.output, made(second), len(second.provider.calls)) == ("done", [BONN], 1)
    assert [place.count(kind) for kind in ("review.requested", "review.decided", "tool.started")] == [1, 1, 1]
    events = place.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    resumed, decided = (next(one["data"] for one in events if one["type"] == kind) for kind in TOLD)
    assert resumed["reason"] == "decided"
    assert (decided["decision"], decided["by"], decided["comment"]) == ("approved", "ada", "looks right")

    third = place.engine(FakeProvider())
    documents = [one.body for one in RunStore(place.database).payloads(RUN) if one.role == "journal"]
    call = third.call(place.agent, tools=place.tools, mode="replay", journal=Journal.from_entries(documents))
    again = await third.run(call)
    assert (again.output, again.usage, made(third)) == ("done", result.usage, [])
    assert sequence_of(third.sink.events()) == sequence_of(events)


TOLD = ("run.resumed", "review.decided")


async def test_edited_arguments_are_what_is_called_and_the_journal_says_so(place: Place) -> None:
    await place.asks(place.engine(FakeProvider(asks(("weather", BONN)))))
    place.decide(arguments=ROME)
    second = place.engine(FakeProvider(says("done")))
    await ended(place.start(second))
    assert made(second) == [ROME]
    entry = next(
        one.body
        for one in RunStore(place.database).payloads(RUN, ("journal",))
        if one.body["door"] == "tool"
    )  # fmt: skip
    assert entry["request"]["arguments"] == BONN
    assert (entry["response"]["review"]["arguments"], entry["response"]["review"]["by"]) == (ROME, "ada")


async def test_a_rejected_call_is_not_made_and_the_model_reads_why(place: Place) -> None:
    await place.asks(place.engine(FakeProvider(asks(("weather", BONN)))))
    place.decide("rejected", comment="not today")
    second = place.engine(FakeProvider(says("done")))
    result = await ended(place.start(second))
    assert (made(second), result.usage.tool_failures) == ([], 1)
    assert second.told()[-1]["content"] == "Error: a person rejected the call: not today"
    [failed] = [one["data"] for one in place.events() if one["type"] == "tool.failed"]
    assert failed["code"] == "rejected"


async def test_two_calls_of_a_turn_are_asked_together_and_each_is_made_once(place: Place) -> None:
    place.tools = PLAIN
    first = place.engine(FakeProvider(asks(("weather", BONN), ("plain", BONN), ("weather", ROME))))
    await place.asks(first)
    assert made(first) == [BONN]  # what needs no person ends before the run stops
    place.decide(call=1)
    assert place.status() == "review"
    place.decide("rejected", call=0)
    second = place.engine(FakeProvider(says("done")))
    result = await ended(place.start(second))
    assert (result.status, len(made(second)), result.usage.tool_calls) == ("finished", 1, 3)
    assert place.count("review.decided") == 2
    assert place.count("tool.finished") == 2


async def test_what_nobody_decides_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.asks(place.engine(FakeProvider(asks(("weather", BONN)))))
    _expire(place, monkeypatch)
    assert place.status() == "queued"
    second = place.engine(FakeProvider(says("done")))
    await ended(place.start(second))
    assert made(second) == []
    assert "nobody decided" in second.told()[-1]["content"]


async def test_what_nobody_decides_may_fail_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.agent = failing()
    await place.asks(place.engine(FakeProvider(asks(("weather", BONN)))))
    _expire(place, monkeypatch)
    result = await ended(place.start(place.engine(FakeProvider())))
    assert result.failure is not None
    assert (result.status, result.failure.code) == ("failed", "tool")
    assert "within 1 minutes" in result.failure.what


def _expire(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.store.reviews.shared_now", lambda _: "2999-01-01T00:00:00.000000Z")
    assert ReviewStore(place.database).expire() == 1
    monkeypatch.undo()


async def test_a_decision_survives_its_executor_and_no_call_is_made_on_it_twice(place: Place) -> None:
    await place.asks(place.engine(FakeProvider(asks(("weather", BONN)))))
    place.decide()
    never = asyncio.Event()
    second = place.engine(FakeProvider(), FakeTools(weather=lambda _: never.wait()))
    late = place.start(second)
    await asyncio.wait_for(second.tools.asked.wait(), PATIENCE_S)
    place.due()
    third = place.engine(FakeProvider())
    await place.asks(third)  # whether the call was made is a question of its own
    [letter] = DeadLetters(place.database).rows()
    assert (letter.error or {})["code"] == "outcome-unknown"
    assert (made(third), ReviewStore(place.database).reviews(), place.count("review.decided")) == ([], [], 1)
    DeadLetters(place.database).replay(RUN)
    fourth = place.engine(FakeProvider(says("done")))
    assert (await ended(place.start(fourth))).output == "done"
    assert [call.idempotency_key for call in fourth.tools.calls] == [second.tools.calls[0].idempotency_key]
    late.cancel("another executor has it")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_a_run_that_was_not_accepted_first_makes_no_such_call(place: Place) -> None:
    rig = place.engine(FakeProvider(asks(("weather", BONN)), says("done")))
    result = await rig.run(rig.call(HUMAN, tools=WRITES))
    assert (result.output, made(rig)) == ("done", [])
    assert "cannot wait" in rig.told()[-1]["content"]
    rig.require_sound_events()


async def test_other_modes_ask_nobody(place: Place) -> None:
    example = {"weather": {"examples": [{"arguments": BONN, "result": {"degrees": 1}}], "sideEffects": "read"}}
    for mode, calls, read in (("dry", 0, '{"degrees":1}'), ("eval", 1, '{"degrees":4}'), ("shadow", 0, "Error: ")):
        rig = place.engine(FakeProvider(asks(("weather", BONN)), says("done")))
        result = await rig.run(rig.call(HUMAN, tools=example, mode=mode))
        assert (result.output, len(made(rig))) == ("done", calls), mode
        assert rig.told()[-1]["content"].startswith(read)
        assert "review.requested" not in rig.types()


async def test_a_tool_that_may_stand_in_is_asked_about_as_well(place: Place) -> None:
    first = place.engine(FakeProvider(asks(("plain", BONN))))
    call = first.call(
        {**HUMAN, "toolRefs": ["tools/plain@1.0.0"]},
        tools={"plain": {"fallback": {"tool": "tools/weather@1.0.0"}}},
        spare_tools={"weather": {}},
    )
    store = LeaseStore(place.database, "one", 10)
    [leased] = store.claim(1, 1)
    with pytest.raises(Postponed):
        await ended(first.start(replace(call, run_id=RUN, lease=QueuedLease(store, leased.row, 3))))
    assert made(first) == []


async def test_a_cancel_ends_a_run_that_waits(place: Place) -> None:
    await place.asks(place.engine(FakeProvider(asks(("weather", BONN)))))
    assert RunQueue(place.database).cancel(RUN)
    assert ReviewStore(place.database).reviews() == []
    assert place.status() == "cancelled"
