"""What stands in for a tool: a spare one, the last good result, a fixed answer; and that a replay gives the same."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.breaker import BreakerRules
from penstock.engine.breakers.board import BreakerBoard
from penstock.engine.controls import Controls
from penstock.engine.engine import RunHandle
from penstock.engine.journal import Journal
from penstock.engine.last_results import LastResults
from penstock.engine.sequence import sequence_of
from penstock.pal import ToolFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

BONN = asks(("weather", {"town": "Bonn"}))
WEATHER, SPARE = "tools/weather@1.0.0", "tools/archive@1.0.0"
ARCHIVE = {"fallback": {"tool": SPARE}}
CACHED = {"fallback": {"cached": {"maxAgeS": 60}}}


def length(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": len(arguments["town"])}


def broken(_: Mapping[str, Any]) -> dict[str, Any]:
    raise ToolFailed("it broke", where="weather")


class Standing(Rig):
    """An engine in which operators hold the breakers of `held` open; its clock says `seconds`."""

    def __init__(self, *steps: Any, held: tuple[str, ...] = ("tools/weather",), **tools: Callable[..., Any]) -> None:
        super().__init__(DirectRuntime, "penstock", FakeProvider(*steps), FakeTools(**tools))
        self.seconds = 0.0
        self.orders: dict[str, dict[str, str]] = {}
        self.hold(*held)
        board = BreakerBoard(BreakerRules.model_validate({}), lambda: self.orders)
        self.engine.controls = Controls(breakers=board, results=LastResults(clock=lambda: self.seconds))

    def hold(self, *resources: str) -> None:
        self.orders = {name: {"state": "open", "actor": "ada", "reason": "it moves", "at": "now"} for name in resources}

    def used(self) -> list[tuple[str, str, str]]:
        events = [event["data"] for event in self.sink.events() if event["type"] == "fallback.used"]
        return [(data["kind"], data["from"], data["to"]) for data in events]


async def require_equal_replay(one: Standing, call: Any, handle: RunHandle) -> None:
    """A replay from what the run stored ends the same, by the same events, and calls nothing."""
    payloads = [record for record in one.sink.of("payload") if record["role"] == "journal"]
    journal = Journal.from_entries(record["body"] for record in payloads if record["runId"] == call.run_id)
    again = Rig(DirectRuntime, "penstock", FakeProvider(), FakeTools())
    replay = again.engine.start(replace(call, mode="replay", journal=journal))
    result, before = await replay.result(), await handle.result()
    assert (result.output, result.fallbacks) == (before.output, before.fallbacks)
    assert sequence_of(replay.past_events) == sequence_of(handle.past_events)


async def test_a_spare_tool_is_called_with_the_same_arguments_and_params() -> None:
    one = Standing(BONN, says("4"), archive=length)
    call = one.call(tools={"weather": ARCHIVE}, spare_tools={"archive": {}})
    call.release.tools[0].params["unit"] = "C"
    handle = one.start(call)
    result = await handle.result()
    assert (result.output, one.used()) == ("4", [("tool", WEATHER, SPARE)])
    assert [dict(made.arguments) for made in one.tools.calls] == [{"town": "Bonn"}]
    assert one.told()[-1]["content"] == '{"degrees":4}'
    assert [offer.name for offer in one.provider.calls[0].tools] == ["weather"], "a spare is never offered"
    compiled = one.engine._shelf.take(call.release, call.prompt_body).tools["weather"]
    assert compiled.spare is not None
    assert compiled.spare.component.params == {"unit": "C"}
    used = result.fallbacks[0]
    assert used["owner"] == "example-team"
    assert used["why"] == "the breaker of tools/weather was opened by ada: it moves"
    finished = next(event["data"] for event in one.sink.events() if event["type"] == "tool.finished")
    assert (finished["tool"], finished["source"]) == ("weather", "fallback")
    one.require_sound_events()
    await require_equal_replay(one, call, handle)


async def test_spares_follow_each_other_and_the_last_refusal_is_what_the_model_reads() -> None:
    one = Standing(BONN, says("4"), BONN, says("none"), held=("tools/weather", "tools/archive"), attic=length)
    last = {"archive": {"fallback": {"tool": "tools/attic@1.0.0"}}, "attic": {}}
    assert (await one.run(one.call(tools={"weather": ARCHIVE}, spare_tools=last, run_id="a"))).output == "4"
    assert [to for _, _, to in one.used()] == [SPARE, "tools/attic@1.0.0"]
    one.hold("tools/weather", "tools/archive", "tools/attic")
    call = one.call(tools={"weather": ARCHIVE}, spare_tools=last, run_id="b")
    handle = one.start(call)
    assert (await handle.result()).output == "none"
    assert one.told()[-1]["content"] == "Error: tools/attic@1.0.0 is not called for now."
    await require_equal_replay(one, call, handle)


async def test_policies_are_asked_about_the_spare() -> None:
    rules: list[dict[str, Any]] = [
        {"name": "no-archive", "effect": "deny", "actions": ["tool.call"], "resources": ["tools/archive"]},
        {"name": "all", "effect": "allow"},
    ]
    one = Standing(BONN, says("none"), archive=length)
    call = one.call(tools={"weather": ARCHIVE}, spare_tools={"archive": {}}, rules=rules)
    handle = one.start(call)
    assert (await handle.result()).output == "none"
    assert (one.tools.calls, one.used()) == ([], [])
    await require_equal_replay(one, call, handle)


async def test_a_fixed_answer_needs_nothing() -> None:
    one = Standing(BONN, says("0"))
    call = one.call(tools={"weather": {"fallback": {"answer": {"degrees": 0}}}})
    handle = one.start(call)
    assert (await handle.result()).fallbacks[0]["to"] == "answer"
    assert one.told()[-1]["content"] == '{"degrees":0}'
    await require_equal_replay(one, call, handle)


@pytest.mark.parametrize(("on", "stood_in"), [("open", False), ("failure", True)])
async def test_after_a_failure_only_where_that_is_declared(on: str, stood_in: bool) -> None:
    one = Standing(BONN, says("0"), held=(), weather=broken)
    await one.run(one.call(tools={"weather": {"fallback": {"on": on, "answer": {"degrees": 0}}}}))
    assert one.told()[-1]["content"] == ('{"degrees":0}' if stood_in else "Error: it broke")


async def test_the_last_good_result_is_given_while_it_is_young_and_to_its_own_tenant_alone() -> None:
    one = Standing(*[BONN, says("done")] * 6, held=(), weather=length)

    async def told(number: int, **fields: Any) -> Any:
        await one.run(one.call(tools={"weather": CACHED}, run_id=f"r{number}", **{"tenant": "acme", **fields}))
        return one.told()[-1]["content"]

    refused = "Error: tools/weather@1.0.0 is not called for now."
    assert await told(1) == '{"degrees":4}'
    one.hold("tools/weather")
    one.seconds = 59.0
    assert await told(2) == '{"degrees":4}'
    assert await told(3, tenant="other") == refused
    assert await told(4, tenant=None) == refused
    assert await told(5, mode="eval") == refused
    one.seconds = 61.0
    assert await told(6) == refused
    used = [event["data"] for event in one.sink.events() if event["type"] == "fallback.used"]
    assert [(data["to"], data["ageS"]) for data in used] == [("cached", 59.0)]


async def test_what_stands_in_must_fit_the_tool_that_it_stands_in_for() -> None:
    one = Standing(BONN, says("none"), archive=lambda _: {"degrees": "warm"})
    loose = {"output": {"schema": {"type": "object"}}}
    call = one.call(tools={"weather": ARCHIVE}, spare_tools={"archive": loose})
    await one.run(call)
    assert "breaks its schema" in one.told()[-1]["content"]


async def test_parallel_calls_with_stand_ins_have_one_sequence() -> None:
    one = Standing(asks(("weather", {"town": "Bonn"}), ("weather", {"town": "Ulm"})), says("done"), archive=length)
    call = one.call(tools={"weather": ARCHIVE}, spare_tools={"archive": {}})
    handle = one.start(call)
    await handle.result()
    steps = [str(step) for step in sequence_of(handle.past_events)]
    turn = ["tool.started:weather", "fallback.used", "tool.finished:weather"]
    assert steps[3:9] == turn * 2
    await require_equal_replay(one, call, handle)


def test_last_results_are_bounded() -> None:
    results = LastResults(most_bytes=1_600)
    for number in range(40):
        results.keep(number, "x" * 96)
    assert [number for number in range(40) if results.find(number, 60)] == list(range(24, 40))
    results.keep("large", "x" * 100)
    assert results.find("large", 60) is None
    results.keep(39, {"changed": True})
    assert results.find(39, 60) is not None
    assert len([number for number in range(40) if results.find(number, 60)]) == 16
