"""A queued run whose process is gone, on the real database: another engine goes on where the first one stopped.

The first engine is not killed here, it hangs: so these tests also see what becomes of a process that comes back late.
"""

import asyncio
import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from penstock.adapters.direct import DirectRuntime
from penstock.adapters.langgraph import LangGraphRuntime
from penstock.contracts.breaker import BreakerRules
from penstock.contracts.release import Release
from penstock.contracts.routing_table import DegradedEntry
from penstock.engine.breakers.board import BreakerBoard
from penstock.engine.call import RunCall
from penstock.engine.degraded import degraded_before
from penstock.engine.engine import RunHandle
from penstock.engine.journal import Journal
from penstock.engine.lease import Postponed
from penstock.engine.queued_lease import QueuedLease, backoff_s, read_past
from penstock.engine.result import RunResult
from penstock.engine.sequence import sequence_of
from penstock.engine.spans import trace_spans
from penstock.errors import NotFound
from penstock.pal import ModelFailed, Runtime
from penstock.store.database import Database, open_database
from penstock.store.queue import NewRun, QueuedRun, RunQueue, Terms
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import LeaseLost, LeaseStore
from penstock.store.runs import RunStore
from penstock.store.tables_queue import queued_runs
from penstock.store.unknown_outcomes import Finding, UnknownOutcomes
from penstock.testing.conformance.rig import PATIENCE_S, Rig
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

RUN = "00000000-0000-7000-8000-000000000001"
BONN: dict[str, Any] = {"town": "Bonn"}
ROME: dict[str, Any] = {"town": "Rome"}
WRITES: dict[str, Any] = {"weather": {"sideEffects": "write"}}
IDEMPOTENT: dict[str, Any] = {"weather": {"sideEffects": "write", "idempotent": True}}
DENIES = [
    {"name": "no-weather", "effect": "deny", "actions": ["tool.call"], "resources": ["tools/weather"], "reason": "no"},
    {"name": "all", "effect": "allow"},
]


@dataclass
class Place:
    """A database with one queued run, and engines that take it."""

    database: Database
    adapter: Any

    def accept(self, tries: int = 3) -> None:
        RunQueue(self.database).accept(NewRun(RUN, "hello"), Terms(None, "clerk", tries=tries))

    def engine(self, provider: FakeProvider, tools: FakeTools | None = None) -> Rig:
        return Rig(
            self.adapter,
            "langgraph" if self.adapter is LangGraphRuntime else "penstock",
            provider,
            tools or FakeTools(),
        )

    def start(
        self, rig: Rig, tools: Mapping[str, Any] | None = None, *, spare: str | None = None, **fields: Any
    ) -> RunHandle:
        """Leases the run and starts its next attempt on that engine."""
        store = LeaseStore(self.database, rig.name, 10)
        [leased] = store.claim(1, 1)
        past, history = read_past(RunStore(self.database), leased.row)
        lease = QueuedLease(store, leased.row, 3, past)
        call = rig.call(tools=tools, **fields)
        if spare is not None:
            call = replace(call, release=with_spare(call.release, spare))
        return rig.start(replace(call, run_id=RUN, lease=lease, history=history))

    def due(self) -> None:
        """Lets a lease or a delay run out."""
        with self.database.write() as connection:
            connection.execute(update(queued_runs).values(due="2020-01-01T00:00:00.000000Z"))

    def row(self) -> QueuedRun:
        row = RunQueue(self.database).get(RUN)
        assert row is not None
        return row

    def events(self) -> list[dict[str, Any]]:
        return RunStore(self.database).events(RUN)

    def types(self) -> list[tuple[int, str]]:
        return [(one["attempt"], one["type"]) for one in self.events() if one["type"] != "policy.decided"]

    async def dies_in_a_call(self, *turns: Any, calls: int = 1) -> "Late":
        """An attempt that hangs in its writing calls, and one after it that stops since nobody knows of them."""
        never = asyncio.Event()
        first = self.engine(FakeProvider(*turns), FakeTools(weather=lambda _: never.wait()))
        handle = self.start(first, WRITES)
        while len(first.tools.calls) < calls:
            first.tools.asked.clear()
            await asyncio.wait_for(first.tools.asked.wait(), PATIENCE_S)
        self.due()
        second = self.engine(FakeProvider(), FakeTools(weather=weather))
        with pytest.raises(Postponed):
            await ended(self.start(second, WRITES))
        assert (second.tools.calls, self.row().state) == ([], "dead")
        return Late(handle, first.tools.calls[0].idempotency_key)


@pytest.fixture(params=[DirectRuntime, LangGraphRuntime], ids=["direct", "langgraph"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    database = open_database(f"sqlite:///{tmp_path}/store.db")
    adapter: type[Runtime] = request.param
    yield Place(database, adapter)
    database.close()


def with_spare(release: Release, model: str) -> Release:
    """The release with a second model that answers when the first one fails."""
    document = copy.deepcopy(release.as_document())
    spare = copy.deepcopy(document["models"][0])
    spare["ref"] = "models/spare@1.0.0"
    spare["document"]["metadata"]["name"] = "spare"
    spare["document"]["spec"]["model"] = model
    document["models"].append(spare)
    document["agent"]["document"]["spec"]["fallback"] = {"models": [spare["ref"]]}
    return Release.model_validate(document)


@dataclass
class Late:
    """An attempt that hangs in a call, with that call's key."""

    handle: RunHandle
    key: str


async def lost(late: RunHandle) -> None:
    """Ends an attempt that lost its run."""
    late.cancel("another executor has it")
    with pytest.raises(LeaseLost):
        await ended(late)


async def ended(handle: RunHandle) -> RunResult:
    return await asyncio.wait_for(handle.result(), PATIENCE_S)


def weather(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": 4}


async def until_hanging(provider: FakeProvider, calls: int) -> None:
    while len(provider.calls) < calls:
        provider.asked.clear()
        await asyncio.wait_for(provider.asked.wait(), PATIENCE_S)


async def test_what_is_journalled_is_answered_from_there_and_the_late_process_changes_nothing(place: Place) -> None:
    place.accept()
    first = place.engine(
        FakeProvider(asks(("weather", BONN)), asks(("weather", ROME), ("nobody", {})), hangs),
        FakeTools(weather=weather),
    )
    late = place.start(first, WRITES)
    await until_hanging(first.provider, 3)
    assert late.past_events[-1]["type"] == "llm.started"
    before = place.events()
    assert before[-1]["type"] in ("tool.finished", "tool.failed")

    place.due()
    second = place.engine(FakeProvider(says("done")), FakeTools())
    result = await ended(place.start(second, WRITES))
    assert (result.status, result.output) == ("finished", "done")
    assert len(second.provider.calls) == 1
    assert second.provider.calls[0].messages == first.provider.calls[2].messages
    assert second.tools.calls == []
    assert (result.usage.model_calls, result.usage.tool_calls, result.usage.tool_failures) == (3, 3, 1)
    assert result.usage.prompt_tokens == 30

    late.cancel("another executor has it")
    with pytest.raises(LeaseLost):
        await ended(late)
    assert first.engine.recent(RUN) is None
    events = place.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[: len(before)] == before
    assert {event["spanId"] for event in events if event["type"].startswith("run.")} == {events[0]["spanId"]}
    assert place.types()[-4:] == [(2, "run.resumed"), (2, "llm.started"), (2, "llm.finished"), (2, "run.finished")]
    assert Counter(kind for _, kind in place.types())["llm.finished"] == 3
    stored = RunStore(place.database).run(RUN)
    assert stored is not None
    begun = next(event["time"] for event in before if event["type"] == "run.started")
    assert (stored["status"], stored["startedAt"]) == ("finished", begun)
    assert place.row().state == "done"
    spans = trace_spans(events)
    assert spans[0].attributes["gen_ai.usage.input_tokens"] == 30
    steps = [str(step) for step in sequence_of(events)]
    assert Counter(steps)["llm.started:fake"] == 3


async def test_a_run_taken_over_replays_as_one(place: Place) -> None:
    place.accept()
    first = place.engine(
        FakeProvider(ModelFailed("fell over", where="model"), asks(("weather", BONN)), says("done")),
        FakeTools(weather=weather),
    )
    with pytest.raises(Postponed):
        await ended(place.start(first, WRITES))
    place.due()
    result = await ended(place.start(first, WRITES))
    assert result.finished
    runs = RunStore(place.database)
    journal = Journal.from_entries(one.body for one in runs.payloads(RUN) if one.role == "journal")
    assert len(journal.entries) == 3
    replay = replace(first.call(tools=WRITES), mode="replay", journal=journal)
    again = await first.run(replay)
    assert (again.output, again.usage) == (result.output, result.usage)
    assert sequence_of(runs.events(RUN)) == sequence_of(first.sink.events())


@pytest.mark.parametrize("tools", [WRITES, IDEMPOTENT], ids=["once", "idempotent"])
async def test_a_writing_call_without_a_result(place: Place, tools: dict[str, Any]) -> None:
    place.accept()
    never = asyncio.Event()
    first = place.engine(FakeProvider(asks(("weather", BONN))), FakeTools(weather=lambda _: never.wait()))
    late = place.start(first, tools)
    await asyncio.wait_for(first.tools.asked.wait(), PATIENCE_S)
    key = first.tools.calls[0].idempotency_key
    place.due()

    second = place.engine(FakeProvider(says("done")), FakeTools(weather=weather))
    if tools is WRITES:
        with pytest.raises(Postponed):
            await ended(place.start(second, tools))
        assert second.tools.calls == []
        asked = place.events()[-1]
        assert (asked["type"], asked["data"]["idempotencyKey"]) == ("review.requested", key)
        assert (place.row().state, place.row().status) == ("dead", "review")
        assert RunStore(place.database).run(RUN) is None
        assert DeadLetters(place.database).replay(RUN) == RUN
    result = await ended(place.start(second, tools))
    assert result.finished
    assert [call.idempotency_key for call in second.tools.calls] == [key]
    assert [kind for _, kind in place.types() if kind == "run.finished"] == ["run.finished"]
    late.cancel("the test is over")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_a_result_that_a_person_found_is_the_calls_result_and_is_told_once(place: Place) -> None:
    place.accept()
    late = await place.dies_in_a_call(asks(("weather", BONN)))
    found = UnknownOutcomes(place.database)
    call = found.find(RUN)
    assert (call.tool, call.idempotency_key) == ("weather", late.key)
    found.settle(call, Finding("made", "ada", "it is in the book", {"degrees": 9}))
    assert place.row().status == "queued"
    with pytest.raises(NotFound):
        found.settle(call, Finding("repeat", "max"))

    second = place.engine(FakeProvider(hangs), FakeTools(weather=weather))
    also_late = place.start(second, WRITES)
    await until_hanging(second.provider, 1)
    place.due()
    third = place.engine(FakeProvider(says("done")), FakeTools(weather=weather))
    result = await ended(place.start(third, WRITES))
    assert (result.output, result.usage.tool_calls, result.usage.tool_failures) == ("done", 1, 0)
    assert (second.tools.calls, third.tools.calls) == ([], [])
    assert second.told()[-1]["content"] == third.told()[-1]["content"] == '{"degrees":9}'
    [decided] = [event["data"] for event in place.events() if event["type"] == "review.decided"]
    assert decided == {**decided, "reason": "outcome-unknown", "decision": "made", "by": "ada"}
    [finished] = [event["data"] for event in place.events() if event["type"] == "tool.finished"]
    assert finished["source"] == "person"
    for one in (late.handle, also_late):
        await lost(one)


async def test_a_call_that_is_made_again_and_dies_again_is_asked_about_again(place: Place) -> None:
    place.accept()
    late = await place.dies_in_a_call(asks(("weather", BONN)))
    assert DeadLetters(place.database).replay(RUN, "ada") == RUN
    again = await place.dies_in_a_call()
    assert again.key == late.key
    kinds = Counter(kind for _, kind in place.types())
    assert (kinds["review.requested"], kinds["review.decided"]) == (2, 1)
    call = UnknownOutcomes(place.database).find(RUN)
    UnknownOutcomes(place.database).settle(call, Finding("made", "ada", None, {"degrees": 9}))
    last = place.engine(FakeProvider(says("done")), FakeTools(weather=weather))
    assert (await ended(place.start(last, WRITES))).finished
    assert last.tools.calls == []
    assert Counter(kind for _, kind in place.types())["review.decided"] == 2
    for one in (late.handle, again.handle):
        await lost(one)


async def test_of_several_unknown_calls_each_is_settled_by_itself(place: Place) -> None:
    place.accept()
    late = await place.dies_in_a_call(asks(("weather", BONN), ("weather", ROME)), calls=2)
    store = UnknownOutcomes(place.database)
    settled = []
    while place.row().state == "dead":
        stopped_for = [event for event in place.events() if event["type"] == "review.requested"][-1]
        call = store.find(RUN, stopped_for["data"]["callId"])
        settled.append(call.call_id)
        store.settle(call, Finding("made", "ada", None, {"degrees": len(settled)}))
        second = place.engine(FakeProvider(says("done")), FakeTools(weather=weather))
        handle = place.start(second, WRITES)
        try:
            await ended(handle)
        except Postponed:
            assert len(settled) == 1
        assert second.tools.calls == []
    assert len(set(settled)) == 2
    assert (place.row().status, place.row().outcome) == ("finished", "finished")
    await lost(late.handle)


async def test_a_failed_model_is_tried_again_until_the_run_is_a_dead_letter(place: Place) -> None:
    place.accept()
    rig = place.engine(
        FakeProvider(asks(("weather", BONN)), *[ModelFailed("fell over", where="model")] * 3),
        FakeTools(weather=weather),
    )
    for failures in (1, 2):
        with pytest.raises(Postponed, match="fell over"):
            await ended(place.start(rig, WRITES))
        assert (place.row().state, place.row().failures, place.row().status) == ("delayed", failures, "queued")
        assert rig.engine.recent(RUN) is None
        place.due()
    result = await ended(place.start(rig, WRITES))
    assert result.status == "failed"
    assert (len(rig.provider.calls), len(rig.tools.calls)) == (4, 1)
    assert [kind for _, kind in place.types() if kind.startswith("run.f")] == ["run.failed"]
    [dead] = DeadLetters(place.database).rows()
    assert (dead.run_id, dead.status, (dead.error or {})["code"]) == (RUN, "failed", "model")
    assert [backoff_s(failures) for failures in (0, 1, 9)] == [2.0, 4.0, 60.0]


async def test_a_spare_model_stays_the_one_that_answered(place: Place) -> None:
    place.accept()
    down = ModelFailed("fell over", where="model")
    first = place.engine(FakeProvider(down, asks(("weather", BONN)), down, hangs), FakeTools(weather=weather))
    late = place.start(first, WRITES, spare="fake/two")
    await until_hanging(first.provider, 4)
    place.due()
    second = place.engine(FakeProvider(down, says("done")))
    assert (await ended(place.start(second, WRITES, spare="fake/two"))).finished
    assert [call.model for call in second.provider.calls] == ["fake/one", "fake/two"]
    assert Counter(kind for _, kind in place.types())["fallback.used"] == 2
    late.cancel("the test is over")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_a_degraded_run_stays_so_whoever_goes_on_with_it(place: Place) -> None:
    place.accept()
    word = DegradedEntry(model="models/spare@1.0.0", by="ada@example.org", since="now", reason="too dear")
    first = place.engine(FakeProvider(asks(("weather", BONN)), hangs), FakeTools(weather=weather))
    late = place.start(first, WRITES, spare="fake/two", degraded=word)
    await until_hanging(first.provider, 2)
    place.due()
    second = place.engine(FakeProvider(says("done")))
    assert degraded_before(place.events()) == word
    result = await ended(place.start(second, WRITES, spare="fake/two", degraded=degraded_before(place.events())))
    assert result.finished
    assert [call.model for call in second.provider.calls] == ["fake/two"]
    assert Counter(kind for _, kind in place.types())["fallback.used"] == 1
    late.cancel("the test is over")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_what_would_fail_again_is_final_at_once(place: Place) -> None:
    place.accept()
    rig = place.engine(FakeProvider(says("never asked")))
    rules = [{"name": "no-model", "effect": "deny", "actions": ["model.use"]}, {"name": "all", "effect": "allow"}]
    result = await ended(place.start(rig, rules=rules))
    assert (result.status, place.row().state) == ("failed", "dead")
    assert (place.row().error or {})["code"] == "policy"


async def test_a_denied_call_is_denied_again_and_told_once(place: Place) -> None:
    place.accept()
    first = place.engine(FakeProvider(asks(("weather", BONN)), hangs))
    late = place.start(first, WRITES, rules=DENIES)
    await until_hanging(first.provider, 2)
    place.due()
    second = place.engine(FakeProvider(says("done")))
    assert (await ended(place.start(second, WRITES, rules=DENIES))).finished
    assert second.provider.calls[0].messages == first.provider.calls[1].messages
    assert Counter(kind for _, kind in place.types())["tool.failed"] == 1
    late.cancel("the test is over")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_a_run_that_is_left_goes_on_elsewhere_and_one_that_is_cancelled_does_not(place: Place) -> None:
    place.accept()
    rig = place.engine(FakeProvider(hangs, hangs, says("done")))
    handle = place.start(rig)
    await until_hanging(rig.provider, 1)
    stream = handle.events()
    lease = handle.call.lease
    assert isinstance(lease, QueuedLease)
    lease.is_leaving = True
    handle.cancel("the executor is shutting down")
    with pytest.raises(Postponed):
        await ended(handle)
    assert [event["type"] async for event in stream][-1] == "llm.started"  # it ends, without an end of the run
    handle = place.start(rig)
    await until_hanging(rig.provider, 2)
    handle.cancel("by request")
    assert (await ended(handle)).status == "cancelled"
    assert (place.row().state, place.row().failures) == ("done", 0)
    assert place.types()[-1] == (2, "run.cancelled")


async def test_the_journal_of_a_call_is_stored_before_the_next_call(place: Place) -> None:
    place.accept()
    seen: list[list[str]] = []

    def look(_: Any) -> dict[str, Any]:
        roles = [payload.role for payload in RunStore(place.database).payloads(RUN)]
        seen.append([role for role in roles if role == "journal"])
        return {"degrees": 4}

    def asked(_: Any) -> Any:
        look(None)
        return says("done")

    rig = place.engine(FakeProvider(asks(("weather", BONN)), asked), FakeTools(weather=look))
    call: RunCall = place.start(rig, {"weather": {}}).call
    await ended(rig.engine.recent(call.run_id) or rig.engine.running[0])
    assert seen == [["journal"], ["journal", "journal"]]


async def test_a_withdrawn_run_is_cancelled_and_asks_nobody(place: Place) -> None:
    place.accept()
    rig = place.engine(FakeProvider())
    store = LeaseStore(place.database, "one", 10)
    [leased] = store.claim(1, 1)
    call = replace(rig.call(), run_id=RUN, lease=QueuedLease(store, leased.row, 3))
    result = await ended(rig.engine.withdraw(call, "by request"))
    assert (result.status, rig.provider.calls) == ("cancelled", [])
    assert [kind for _, kind in place.types()] == ["run.queued", "run.cancelled"]
    assert place.row().status == "cancelled"


ANSWERED = {"weather": {**IDEMPOTENT["weather"], "fallback": {"answer": {"degrees": 0}}}}


def held(rig: Rig) -> Rig:
    """The engine, in which an operator holds the tool's breaker open."""
    word = {"tools/weather": {"state": "open", "actor": "ada", "reason": "it moves", "at": "now"}}
    rig.engine.controls = replace(
        rig.engine.controls, breakers=BreakerBoard(BreakerRules.model_validate({}), lambda: word)
    )
    return rig


async def test_what_stood_in_is_told_once_and_stays_in_the_result(place: Place) -> None:
    place.accept()
    first = held(place.engine(FakeProvider(asks(("weather", BONN)), hangs)))
    late = place.start(first, ANSWERED)
    await until_hanging(first.provider, 2)
    place.due()
    result = await ended(place.start(place.engine(FakeProvider(says("done"))), ANSWERED))
    assert [used["to"] for used in result.fallbacks] == ["answer"]
    assert Counter(kind for _, kind in place.types())["fallback.used"] == 1
    late.cancel("another executor has it")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_nothing_stands_in_for_a_call_that_may_have_been_made(place: Place) -> None:
    place.accept()
    never = asyncio.Event()
    first = place.engine(FakeProvider(asks(("weather", BONN))), FakeTools(weather=lambda _: never.wait()))
    late = place.start(first, ANSWERED)
    await asyncio.wait_for(first.tools.asked.wait(), PATIENCE_S)
    place.due()
    second = held(place.engine(FakeProvider(says("done"))))
    result = await ended(place.start(second, ANSWERED))
    assert (result.fallbacks, result.usage.tool_failures) == ((), 1)
    assert "may have been called already" in second.told()[-1]["content"]
    late.cancel("another executor has it")
    with pytest.raises(LeaseLost):
        await ended(late)


async def test_the_choice_of_a_model_and_a_summary_are_not_made_again(place: Place) -> None:
    place.accept()
    agent = {
        "modelRef": {"simple": "models/a@1.0.0", "medium": "models/b@1.0.0", "complex": "models/c@1.0.0"},
        "complexity": {"classifier": "models/judge@1.0.0"},
        "context": {"maxTokens": 900, "strategy": "summary"},
    }

    def long(_: Mapping[str, Any]) -> dict[str, Any]:
        return {"degrees": 4, "note": "fair and mild " * 60}

    chosen, summary = says('{"complexity": "simple"}'), says("it is fair in Bonn")
    first = place.engine(
        FakeProvider(chosen, asks(("weather", BONN)), asks(("weather", ROME)), summary, hangs), FakeTools(weather=long)
    )
    late = place.start(first, {"weather": {}}, agent=agent)
    await until_hanging(first.provider, 5)
    place.due()
    second = place.engine(FakeProvider(says("done")), FakeTools(weather=long))
    result = await ended(place.start(second, {"weather": {}}, agent=agent))
    late.cancel("another executor has it")
    with pytest.raises(LeaseLost):
        await ended(late)
    assert (result.output, result.usage.model_calls) == ("done", 5)
    assert [call.ref for call in second.provider.calls] == ["models/a@1.0.0"]
    assert not second.tools.calls
    types = Counter(event["type"] for event in place.events())
    assert (types["model.chosen"], types["context.cut"]) == (1, 1)
