"""Modes eval, replay and dry, write intents, and the journal that replays."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from penstock.adapters.langgraph import LangGraphRuntime
from penstock.engine.call import RunCall, new_run_id
from penstock.engine.journal import Journal
from penstock.engine.result import RunResult
from penstock.pal import ModelFailed, ToolFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]
BONN: dict[str, Any] = {"town": "Bonn"}
WRITES: dict[str, Any] = {"weather": {"sideEffects": "write"}}
EXAMPLE: dict[str, Any] = {"examples": [{"arguments": BONN, "result": {"degrees": 21}}]}
DEV_ONLY = [{"name": "dev", "effect": "allow", "stages": ["dev"]}]


def two_turns() -> FakeProvider:
    return FakeProvider(asks(("weather", BONN)), says("done"))


def weather(_: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": 4}


def journal_of(rig: Rig, run_id: str, **header: Any) -> Journal:
    """As it would be read back from the payloads in the database."""
    bodies = [p["body"] for p in rig.sink.of("payload") if p["role"] == "journal" and p["runId"] == run_id]
    return Journal.from_jsonl(Journal.from_entries(bodies, header).to_jsonl())


async def replayed(rig: Rig, call: RunCall, journal: Journal) -> tuple[RunResult, list[dict[str, Any]]]:
    from dataclasses import replace

    again = replace(call, mode="replay", journal=journal, run_id=new_run_id(), runtime=rig.name)
    handle = rig.start(again)
    result = await handle.result()
    return result, rig.sink.events(handle.run_id)


async def test_intent_of_a_writing_call_is_durable_before_the_call(rig: MakeRig) -> None:
    seen: list[tuple[int, int]] = []

    def writes(_: Mapping[str, Any]) -> dict[str, Any]:
        seen.append((one.sink.committed, [r["kind"] for r in one.sink.records].index("intent")))
        return {"degrees": 4}

    one = rig(two_turns(), FakeTools(weather=writes))
    result = await one.run(one.call(tools=WRITES))
    assert result.finished
    [(committed, intent_at)] = seen
    assert committed > intent_at
    [intent] = one.sink.of("intent")
    call = one.tools.calls[0]
    assert (intent["callId"], intent["idempotencyKey"]) == (call.call_id, call.idempotency_key)
    assert (intent["runId"], intent["tool"]) == (result.run_id, "tools/weather@1.0.0")


async def test_reading_tools_leave_no_intent(rig: MakeRig) -> None:
    one = rig(two_turns(), FakeTools(weather=weather))
    await one.run(one.call(tools={"weather": {}}))
    assert one.sink.of("intent") == []


async def test_eval_reads_for_real_and_writes_from_fixtures_in_order(rig: MakeRig) -> None:
    one = rig(FakeProvider(asks(("weather", BONN), ("weather", BONN)), says("done")))
    call = one.call(tools=WRITES, mode="eval", fixtures={"weather": [{"degrees": 1}, {"degrees": 2}]})
    assert (await one.run(call)).finished
    assert [told["content"] for told in one.told()] == ['{"degrees":1}', '{"degrees":2}']
    assert one.tools.calls == []

    reads = rig(two_turns(), FakeTools(weather=weather))
    await reads.run(reads.call(tools={"weather": {}}, mode="eval"))
    assert len(reads.tools.calls) == 1


async def test_eval_writes_from_the_tools_examples_without_fixtures(rig: MakeRig) -> None:
    one = rig(two_turns())
    assert (await one.run(one.call(tools={"weather": {"sideEffects": "write", **EXAMPLE}}, mode="eval"))).finished
    assert one.told()[0]["content"] == '{"degrees":21}'


async def test_eval_without_a_result_for_a_writing_tool_is_no_evidence(rig: MakeRig) -> None:
    one = rig(two_turns())
    result = await one.run(one.call(tools=WRITES, mode="eval"))
    assert result.failure is not None
    assert (result.status, result.failure.code) == ("failed", "fixture-missing")
    assert "fixtures.weather" in result.failure.now
    assert one.tools.calls == []


async def test_dry_run_answers_from_examples_and_writes_nothing(rig: MakeRig) -> None:
    one = rig(two_turns())
    handle = one.start(one.call(tools={"weather": {"sideEffects": "write", **EXAMPLE}}, mode="dry"))
    events = [event async for event in handle.events()]
    assert (await handle.result()).finished
    assert one.told()[0]["content"] == '{"degrees":21}'
    assert events[-1]["type"] == "run.finished"
    assert (one.sink.records, one.tools.calls) == ([], [])


async def test_dry_run_without_an_example_tells_the_model(rig: MakeRig) -> None:
    one = rig(two_turns())
    assert (await one.run(one.call(tools={"weather": {}}, mode="dry"))).finished
    assert "no such example" in one.told()[0]["content"]


@pytest.mark.parametrize("mode", ["eval", "dry"])
async def test_policies_see_stage_dev_outside_of_live(rig: MakeRig, mode: str) -> None:
    one = rig(FakeProvider(says("hi")))
    result = await one.run(one.call(rules=DEV_ONLY, stage="prod", mode=mode))
    assert (result.status, result.stage) == ("finished", "dev")
    live = rig(FakeProvider(says("hi")))
    assert (await live.run(live.call(rules=DEV_ONLY, stage="prod"))).status == "rejected"


async def test_replay_gives_the_same_events_and_output_on_both_runtimes(rig: MakeRig) -> None:
    provider = FakeProvider(
        asks(("weather", BONN), ("weather", BONN), ("nothing", {})), asks(("weather", BONN)), says("done")
    )
    results = iter([{"degrees": 1}, {"degrees": 2}, {"degrees": 3}])
    one = rig(provider, FakeTools(weather=lambda _: next(results)))
    call = one.call(tools=WRITES)
    original = await one.run(call)
    journal = journal_of(one, original.run_id)
    for runner in (rig(FakeProvider()), Rig(LangGraphRuntime, "langgraph", FakeProvider(), FakeTools())):
        result, events = await replayed(runner, call, journal)
        assert (result.status, result.output, result.usage) == ("finished", "done", original.usage)
        assert comparable(events) == comparable(one.sink.events())
        assert (runner.provider.calls, runner.tools.calls, runner.sink.of("intent")) == ([], [], [])


async def test_replay_repeats_a_tools_failure_and_a_models(rig: MakeRig) -> None:
    def fails(_: Mapping[str, Any]) -> dict[str, Any]:
        raise ToolFailed("closed on Sundays")

    one = rig(
        FakeProvider(asks(("weather", BONN)), ModelFailed("overloaded", where="models/fake")), FakeTools(weather=fails)
    )
    call = one.call(tools={"weather": {}})
    original = await one.run(call)
    result, events = await replayed(rig(FakeProvider()), call, journal_of(one, original.run_id))
    assert result.failure is not None
    assert original.failure is not None
    assert (result.failure.code, result.failure.what) == ("model", "overloaded")
    assert comparable(events) == comparable(one.sink.events())


async def test_a_miss_ends_the_replay_and_names_the_call(rig: MakeRig) -> None:
    one = rig(two_turns(), FakeTools(weather=weather))
    call = one.call(tools={"weather": {}})
    original = await one.run(call)
    full = journal_of(one, original.run_id)
    for door, count in (("tool", 1), ("model", 0)):
        part = Journal()
        for entry in full.entries[:count]:
            part.add(entry)
        result, events = await replayed(rig(FakeProvider(says("never"))), call, part)
        assert result.failure is not None
        assert (result.status, result.failure.code) == ("failed", "replay-miss")
        missing = full.entries[count]
        assert all(word in result.failure.what for word in (door, missing.digest, missing.scope))
        assert events[-1]["type"] == "run.failed"


async def test_recording_twice_gives_the_same_bytes(rig: MakeRig) -> None:
    async def recorded() -> bytes:
        one = rig(two_turns(), FakeTools(weather=weather))
        handle = one.start(one.call(tools={"weather": {}}, mode="eval", run_id=new_run_id()))
        await handle.result()
        assert handle.journal is not None
        handle.journal.header = {"case": "bonn"}
        return handle.journal.to_jsonl()

    first = await recorded()
    assert first == await recorded()
    assert Journal.from_jsonl(first).to_jsonl() == first


def comparable(events: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Types and what does not differ from run to run."""
    timeless = ("durationMs", "ttftMs", "source", "rule", "input", "messages")
    shown = [
        (event["type"], {k: v for k, v in event["data"].items() if k not in timeless})
        for event in events
        if event["type"] != "run.failed"
    ]
    return sorted(shown, key=repr)
