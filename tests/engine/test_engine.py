import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.canonical import digest
from penstock.contracts.release import Release
from penstock.contracts.runtime import Runtime as Declaration
from penstock.engine import engine as engine_module
from penstock.engine.call import new_run_id
from penstock.errors import Conflict, Invalid, LimitReached, Refused, Unavailable
from penstock.pal import Doors, ModelFailed, RunOutcome, RunRequest, Usage
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]
ALLOW: dict[str, Any] = {"name": "all", "effect": "allow"}


class Swallowing:
    """A runtime at its worst: it calls on and on, and swallows whatever the doors raise."""

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        for _ in range(50):
            try:
                await doors.llm.complete(request.messages)
            except Exception:
                await asyncio.sleep(0)
        return RunOutcome("as if nothing had been", ())


class Raising(Swallowing):
    """A runtime with a fault of its own."""

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        raise KeyError("secret-looking detail")


class SelfCancelling(Swallowing):
    """A runtime that cancels itself."""

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        raise asyncio.CancelledError


class Leaking(Swallowing):
    """A runtime that leaves a task behind which goes on calling the model."""

    later: "asyncio.Task[Any] | None" = None

    async def run(self, agent: Release, request: RunRequest, doors: Doors) -> RunOutcome:
        Leaking.later = asyncio.ensure_future(doors.llm.complete(request.messages))
        await asyncio.sleep(0)
        return RunOutcome("done", ())


@pytest.mark.parametrize(
    ("limits", "made"),
    [({"maxModelCalls": 3}, 3), ({"maxSteps": 4}, 4), ({"maxTokens": 40}, 3), ({"maxCostUsd": 0.0035}, 4)],
)
async def test_limits_hold_although_the_runtime_swallows_them(limits: dict[str, Any], made: int) -> None:
    rig = Rig(Swallowing, "penstock", FakeProvider(lambda _: says("more")), FakeTools())
    result = await rig.run(rig.call({"limits": limits}))
    assert result.failure is not None
    assert (result.status, result.failure.code, result.output) == ("failed", "limit", None)
    assert next(iter(limits)) in result.failure.what
    assert len(rig.provider.calls) == made
    rig.require_sound_events()


async def test_model_failure_ends_the_run_although_the_runtime_swallows_it() -> None:
    rig = Rig(Swallowing, "penstock", FakeProvider(ModelFailed("no answer", where="models/fake@1.0.0")), FakeTools())
    result = await rig.run()
    assert result.failure is not None
    assert (result.status, result.failure.code, len(rig.provider.calls)) == ("failed", "model", 1)


async def test_unknown_price_is_an_error_where_cost_is_limited_and_never_zero(rig: MakeRig) -> None:
    free = rig(FakeProvider(says("hi", Usage(1, 1, None))))
    result = await free.run()
    assert (result.status, result.usage.cost_usd) == ("finished", None)
    limited = rig(FakeProvider(says("hi", Usage(1, 1, None))))
    failure = (await limited.run(limited.call({"limits": {"maxCostUsd": 1.0}}))).failure
    assert failure is not None
    assert (failure.code, "price" in failure.what) == ("limit", True)


@pytest.mark.parametrize(("adapter", "words"), [(Raising, "KeyError"), (SelfCancelling, "cancelled itself")])
async def test_a_runtime_that_breaks_is_a_failure_with_its_place(adapter: type[Swallowing], words: str) -> None:
    rig = Rig(adapter, "penstock", FakeProvider(says("hi")), FakeTools())
    result = await rig.run()
    assert result.failure is not None
    assert (result.status, result.failure.code) == ("failed", "runtime")
    assert words in result.failure.what
    assert "secret-looking detail" not in str(rig.sink.events())
    assert rig.name in result.failure.where
    rig.require_sound_events()


async def test_a_call_left_behind_is_cancelled_when_the_run_ends() -> None:
    rig = Rig(Leaking, "penstock", FakeProvider(hangs), FakeTools())
    result = await rig.run()
    assert result.status == "finished"
    assert rig.provider.cancelled == 1
    assert Leaking.later is not None
    assert Leaking.later.done()
    rig.require_sound_events()


async def test_tool_that_never_lets_go_does_not_hold_the_run(rig: MakeRig) -> None:
    lets_go, gone = asyncio.Event(), asyncio.Event()

    async def stubborn(_: Mapping[str, Any]) -> dict[str, Any]:
        while not lets_go.is_set():
            try:
                await lets_go.wait()
            except asyncio.CancelledError:
                continue
        gone.set()
        return {"degrees": 1}

    one = rig(FakeProvider(asks(("weather", {"town": "Bonn"})), says("late")), FakeTools(weather=stubborn))
    handle = one.start(one.call({"limits": {"timeoutMs": 50}}, tools={"weather": {}}))
    result = await asyncio.wait_for(handle.result(), 5)
    assert result.status == "timed_out"
    count = len(one.sink.records)
    lets_go.set()
    await gone.wait()
    assert (await handle.result(), len(one.sink.records), len(one.provider.calls)) == (result, count, 1)


async def test_result_waits_for_the_commit_and_says_when_it_cannot_be(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("hi")))
    result = await one.run()
    assert result.finished
    assert one.sink.committed == len(one.sink.records)

    async def breaks(_: Any) -> Any:
        two.sink.broken = True
        return says("hi")

    two = rig(FakeProvider(breaks))
    handle = two.start()
    with pytest.raises(Unavailable):
        await handle.result()
    with pytest.raises(Unavailable):
        _ = [event async for event in handle.events()]
    assert "run.finished" not in two.types()


async def test_a_broken_sink_starts_no_run(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("hi")))
    one.sink.broken = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            one.start()
    assert one.provider.calls == []
    one.sink.broken = False
    assert (await one.run()).finished


async def test_input_that_breaks_its_schema_is_rejected_with_all_faults(rig: MakeRig) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["c"]}
    one = rig(FakeProvider(says("hi")))
    result = await one.run(one.call({"input": {"schema": schema}}, input={"a": "x", "b": "private"}))
    assert (result.status, one.provider.calls) == ("rejected", [])
    assert isinstance(result.refusal, Invalid)
    assert [fault.pointer for fault in result.refusal.faults] == ["", "/a", "/b"]
    assert result.error is not None
    assert len(result.error["faults"]) == 3
    assert one.types() == ["run.rejected"]
    assert "private" not in str(one.sink.events())
    one.require_sound_events()


async def test_a_denied_run_is_rejected(rig: MakeRig) -> None:
    deny = {
        "name": "no-acme",
        "effect": "deny",
        "actions": ["run.start"],
        "subjects": ["tenant:acme"],
        "reason": "owes",
    }
    one = rig(FakeProvider(says("hi")))
    result = await one.run(one.call(rules=[ALLOW, deny], tenant="acme"))
    assert result.status == "rejected"
    assert isinstance(result.refusal, Refused)
    assert "owes" in result.refusal.what
    assert [event["type"] for event in one.sink.events()] == ["policy.decided", "run.rejected"]
    assert one.sink.of("run")[0]["run"]["status"] == "rejected"


async def test_runs_above_the_runtimes_limit_are_rejected_and_places_come_back(rig: MakeRig) -> None:
    one = rig(FakeProvider(hangs))
    one.engine.runtimes.declarations[one.name] = declaration_with_limit(one.name, 2)
    held = [one.start(one.call(run_id=new_run_id())) for _ in range(2)]
    third = await one.run()
    assert third.status == "rejected"
    assert isinstance(third.refusal, LimitReached)
    held[0].cancel("make room")
    await held[0].result()
    fourth = one.start()
    await one.provider.asked.wait()
    for handle in (held[1], fourth):
        handle.cancel("enough")
        assert (await handle.result()).status == "cancelled"


async def test_what_must_stand_before_the_answer_stands_before_it(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("hi"), says("hi")))
    stored: list[Any] = []

    async def store(output: Any) -> None:
        assert "run.finished" not in one.types()
        stored.append(output)

    assert (await one.engine.start(one.call(), store).result()).finished
    assert stored == ["hi"]

    async def cannot(_: Any) -> None:
        raise Unavailable("the database is away", where="sqlite", now="wait")

    handle = one.engine.start(one.call(run_id=new_run_id()), cannot)
    with pytest.raises(Unavailable, match="database is away"):
        await handle.result()
    assert one.types()[-1] == "run.failed"


async def test_events_can_be_read_from_any_point_and_after_the_end(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("hi")))
    handle = one.start()
    live = [event async for event in handle.events()]
    assert (await handle.result()).finished
    again = [event async for event in handle.events(after_seq=3)]
    assert again == live[3:] == one.sink.events()[3:]
    assert handle.past_events == live


async def test_recent_runs_are_found_and_the_oldest_are_forgotten(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "RECENT_RUNS", 2)
    one = rig(FakeProvider(lambda _: says("hi")))
    ids = [new_run_id() for _ in range(3)]
    for run_id in ids:
        await one.run(one.call(run_id=run_id))
        found = one.engine.recent(run_id)
        assert found is not None
        assert found.run_id == run_id
    assert one.engine.recent(ids[0]) is None
    assert one.engine.recent(ids[1]) is not None


async def test_an_id_in_flight_is_not_given_twice(rig: MakeRig) -> None:
    one = rig(FakeProvider(hangs))
    handle = one.start(one.call(run_id="twice"))
    with pytest.raises(Conflict, match="in flight"):
        one.start(one.call(run_id="twice"))
    assert one.engine.running == [handle]
    await one.engine.drain(0)


async def test_drain_waits_and_then_cancels(rig: MakeRig) -> None:
    one = rig(FakeProvider(hangs))
    handles = [one.start(one.call(run_id=new_run_id())) for _ in range(3)]
    assert len(one.engine.running) == 3
    assert await one.engine.drain(0.01) == 3
    assert {(await handle.result()).status for handle in handles} == {"cancelled"}
    assert (one.engine.running, await one.engine.drain(1)) == ([], 0)


def test_a_loop_that_ends_cancels_its_runs() -> None:
    async def start() -> Rig:
        one = Rig(DirectRuntime, "penstock", FakeProvider(hangs), FakeTools())
        one.start()
        await one.provider.asked.wait()
        return one

    one = asyncio.run(start())
    assert one.types()[-1] == "run.cancelled"
    assert one.provider.cancelled == 1


async def test_payloads_are_apart_from_events(rig: MakeRig) -> None:
    one = rig(
        FakeProvider(asks(("weather", {"town": "Wuppertal"})), says("grey")),
        FakeTools(weather=lambda _: {"degrees": 9}),
    )
    await one.run(one.call(tools={"weather": {}}, input="Wuppertal?"))
    assert "Wuppertal" not in str(one.sink.events())
    assert "grey" not in str(one.sink.events())
    roles = [record["role"] for record in one.sink.of("payload")]
    assert roles == ["input", "messages", "journal", "journal", "journal", "output"]
    refs = [record["ref"] for record in one.sink.of("payload")]
    assert len(set(refs)) == len(refs)
    finished = one.sink.events()[-1]["data"]
    assert finished["output"] == {"digest": digest("grey"), "ref": "output"}


@pytest.mark.parametrize("given", ["text", {"b": 1.0, "a": ["ä", None]}, [], 7])
async def test_the_inputs_digest_is_that_of_its_canonical_form(rig: MakeRig, given: Any) -> None:
    one = rig(FakeProvider(says("hi")))
    await one.run(one.call({"input": {"schema": {}}}, input=given))
    [started] = [event for event in one.sink.events() if event["type"] == "run.started"]
    assert started["data"]["input"]["digest"] == digest(given)


async def test_usage_of_the_run_is_the_sum_of_its_events(rig: MakeRig) -> None:
    one = rig(
        FakeProvider(asks(("weather", {"town": "Bonn"})), says("x", Usage(7, 3, 0.25))),
        FakeTools(weather=lambda _: {"degrees": 9}),
    )
    result = await one.run(one.call(tools={"weather": {}}))
    finished = [event["data"] for event in one.sink.events() if event["type"] == "llm.finished"]
    assert result.usage.total_tokens == sum(data["usage"]["totalTokens"] for data in finished) == 25
    assert result.usage.cost_usd == sum(data["costUsd"] for data in finished) == 0.251
    row = one.sink.of("run")[0]["run"]
    assert (row["usage"], row["status"]) == (result.usage.as_document(), "finished")


def declaration_with_limit(name: str, concurrent_runs: int) -> Declaration:
    from penstock.testing.example_release import example_declaration

    return example_declaration(name, limits={"concurrentRuns": concurrent_runs})


async def test_a_model_that_says_what_is_no_text_has_failed(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("half a pair: \ud83d")))
    result = await one.run()
    assert result.failure is not None
    assert (result.status, result.failure.code) == ("failed", "model")
    one.require_sound_events()


async def test_the_row_of_a_run_counts_tool_calls_that_failed(rig: MakeRig) -> None:
    calls = asks(("weather", {"town": "Bonn"}), ("weather", {"city": "Bonn"}), ("nothing", {}))
    one = rig(FakeProvider(calls, says("done")), FakeTools(weather=lambda _: {"degrees": 4}))
    result = await one.run(one.call(tools={"weather": {}}))
    assert (result.usage.tool_calls, result.usage.tool_failures) == (3, 2)
    [row] = [record["run"] for record in one.sink.records if record["kind"] == "run"]
    assert (row["usage"]["toolCalls"], row["usage"]["toolFailures"], row["routedBy"]) == (3, 2, None)
