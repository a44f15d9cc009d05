"""Breakers where calls are made: what opens them, what a run then does, and that a replay does the same."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.breaker import BreakerRules
from penstock.engine import guarded_provider, patience
from penstock.engine.breakers.board import BreakerBoard
from penstock.engine.controls import Controls
from penstock.engine.engine import RunHandle
from penstock.engine.journal import Journal
from penstock.engine.result import RunResult
from penstock.engine.sequence import sequence_of
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, ToolFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, Step, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

ASKS = asks(("weather", {"town": "Bonn"}))
SPARES = {"fallback": {"models": ["models/second@1.0.0", "models/third@1.0.0"]}}


class Guarded(Rig):
    """An engine whose breakers open at the second failure."""

    def __init__(self, *steps: Step, **tools: Callable[..., Any]) -> None:
        super().__init__(DirectRuntime, "penstock", FakeProvider(*steps), FakeTools(**tools))
        self.board = BreakerBoard(BreakerRules.model_validate({"tool": {"failures": 2}, "model": {"failures": 2}}))
        self.engine.controls = Controls(breakers=self.board)

    def states(self) -> dict[str, str]:
        return {row["resource"]: row["state"] for row in self.board.as_documents()}

    def data(self, kind: str) -> list[dict[str, Any]]:
        return [event["data"] for event in self.sink.events() if event["type"] == kind]

    async def replayed(self, call: Any, handle: RunHandle) -> RunResult:
        """The result of a replay from the stored payloads, whose events must be of the same sequence."""
        payloads = [record for record in self.sink.of("payload") if record["role"] == "journal"]
        bodies = [record["body"] for record in payloads if record["runId"] == call.run_id]
        again = Rig(DirectRuntime, "penstock", FakeProvider(), FakeTools())
        replay = again.engine.start(replace(call, mode="replay", stage="dev", journal=Journal.from_entries(bodies)))
        result = await replay.result()
        assert [str(step) for step in sequence_of(replay.past_events)] == [
            str(step) for step in sequence_of(handle.past_events)
        ]
        assert result.fallbacks == (await handle.result()).fallbacks
        return result


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.002)


def down(what: str = "503") -> ModelFailed:
    return ModelFailed(what, where="fake")


async def test_spare_models_are_asked_in_their_order_and_the_result_says_so() -> None:
    one = Guarded(down("401"), down("503"), says("third"))
    call = one.call(SPARES)
    handle = one.start(call)
    result = await handle.result()
    assert (result.status, result.output) == ("finished", "third")
    assert [made.ref for made in one.provider.calls] == [
        "models/fake@1.0.0", "models/second@1.0.0", "models/third@1.0.0",
    ]  # fmt: skip
    assert [(used["kind"], used["from"], used["to"], used["why"]) for used in result.fallbacks] == [
        ("model", "models/fake@1.0.0", "models/second@1.0.0", "401"),
        ("model", "models/second@1.0.0", "models/third@1.0.0", "503"),
    ]
    assert result.as_document()["fallbacks"] == list(result.fallbacks) == one.data("fallback.used")
    one.require_sound_events()
    assert (await one.replayed(call, handle)).output == "third"


async def test_when_all_models_fail_the_last_reason_is_the_runs() -> None:
    one = Guarded(down("first"), down("second"), down("third"))
    result = await one.run(one.call(SPARES))
    assert result.failure is not None
    assert (result.status, result.failure.code, result.failure.what) == ("failed", "model", "third")


async def test_an_answer_that_was_heard_in_part_is_not_given_again_by_a_spare() -> None:
    async def breaks_off(call: ModelCall) -> ModelAnswer:
        assert call.on_delta is not None
        call.on_delta("half of ")
        raise down()

    one = Guarded(breaks_off)
    result = await one.run(one.call(SPARES, stream=True))
    assert (result.status, len(one.provider.calls), result.fallbacks) == ("failed", 1, ())


async def test_an_open_model_is_passed_over_at_once_and_a_replay_takes_the_same_way() -> None:
    one = Guarded(down(), says("a"), down(), says("b"), says("c"))
    for number in range(2):
        await one.run(one.call(SPARES, run_id=f"r{number}"))
    assert one.states() == {"models/fake": "open", "models/second": "closed"}
    assert one.data("breaker.opened") == [
        {"resource": "models/fake", "why": "2 failures in a row", "owner": "example-team"}
    ]
    call = one.call(SPARES, run_id="r2")
    handle = one.start(call)
    result = await handle.result()
    assert result.output == "c"
    assert [made.ref for made in one.provider.calls][-1] == "models/second@1.0.0"
    assert len(one.provider.calls) == 5
    assert result.fallbacks[0]["why"] == "the breaker of models/fake is open: 2 failures in a row"
    assert (await one.replayed(call, handle)).output == "c"


async def test_without_a_spare_an_open_breaker_ends_the_run_and_is_not_waited_for() -> None:
    busy = ModelFailed("429", where="fake", retryable=True)
    one = Guarded(*[busy] * 2)
    result = await one.run()
    assert result.failure is not None
    assert result.failure.what == "the breaker of models/fake is open: 2 failures in a row"
    assert len(one.provider.calls) == 2
    assert len(one.data("llm.retried")) == 2


async def test_requests_at_fault_and_cancels_open_nothing() -> None:
    refused = ModelFailed("400", where="fake", request_at_fault=True)
    one = Guarded(*[refused] * 5, hangs, hangs, hangs)
    for number in range(5):
        await one.run(one.call(run_id=f"r{number}"))
    for number in range(3):
        one.provider.asked.clear()
        handle = one.start(one.call(run_id=f"c{number}"))
        await one.provider.asked.wait()
        handle.cancel("enough")
        assert (await handle.result()).status == "cancelled"
    assert one.states() == {"models/fake": "closed"}
    assert one.board.as_documents()[0]["windowCalls"] == 0


async def test_a_model_that_hangs_is_seen_by_the_time_limits_of_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Guarded(hangs)
    short = one.call({"limits": {"timeoutMs": 20}})
    await one.run(short)
    assert one.states() == {"models/fake": "closed"}
    assert one.board.as_documents()[0]["windowCalls"] == 0, "so short a time says nothing of the model"
    monkeypatch.setattr(guarded_provider, "PATIENCE_S", 0.01)
    for number in range(2):
        assert (await one.run(replace(short, run_id=f"r{number}"))).status == "timed_out"
    assert one.states() == {"models/fake": "open"}


async def test_of_fifty_runs_at_once_one_probes_and_the_others_are_refused_at_once() -> None:
    seconds = [0.0]
    gate = asyncio.Event()

    async def slow(_: ModelCall) -> ModelAnswer:
        await gate.wait()
        return says("well")

    one = Guarded(down(), down(), *[slow] * 50)
    one.board = BreakerBoard(BreakerRules.model_validate({"model": {"failures": 2}}), clock=lambda: seconds[0])
    one.engine.controls = Controls(breakers=one.board)
    for number in range(2):
        await one.run(one.call(run_id=f"f{number}"))
    seconds[0] = 31.0
    handles = [one.start(one.call(run_id=f"r{number}")) for number in range(50)]
    for refused in handles[1:]:
        assert (await refused.result()).status == "failed"
    gate.set()
    assert (await handles[0].result()).output == "well"
    assert len(one.provider.calls) == 3
    assert one.states() == {"models/fake": "closed"}
    assert one.data("breaker.closed")[0]["why"] == "1 probe went well"


async def failing(_: Any) -> Any:
    raise ToolFailed("it broke", where="weather")


async def never(_: Any) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("tool", "code"),
    [(failing, "failed"), (never, "timeout"), (lambda _: {"degrees": "warm"}, "result")],
    ids=["failed", "timeout", "result"],
)
async def test_a_tool_that_fails_is_left_alone_and_the_model_can_read_it(tool: Any, code: str) -> None:
    one = Guarded(*[ASKS, says("no idea")] * 3, weather=tool)
    tools = {"weather": {"timeoutMs": 10}}
    for number in range(2):
        assert (await one.run(one.call(tools=tools, run_id=f"r{number}"))).finished
    assert one.states()["tools/weather"] == "open"
    call = one.call(tools=tools, run_id="r2")
    handle = one.start(call)
    assert (await handle.result()).output == "no idea"
    assert len(one.tools.calls) == 2
    assert [data["code"] for data in one.data("tool.failed")] == [code, code, "breaker-open"]
    assert one.told()[-1]["content"] == "Error: tools/weather@1.0.0 is not called for now."
    assert one.data("breaker.opened")[0]["owner"] == "example-team"
    assert (await one.replayed(call, handle)).output == "no idea"


async def test_bad_arguments_denials_and_cancels_open_no_tool() -> None:
    asked = asks(("weather", {"town": 5}))
    one = Guarded(*[asked, says("well")] * 3, ASKS, weather=never)
    for number in range(3):
        await one.run(one.call(tools={"weather": {}}, run_id=f"r{number}"))
    handle = one.start(one.call(tools={"weather": {}}, run_id="c"))
    await one.tools.asked.wait()
    handle.cancel("enough")
    await handle.result()
    assert one.board.as_documents()[-1]["windowCalls"] == 0


async def test_an_open_write_tool_leaves_no_intent() -> None:
    one = Guarded(*[ASKS, says("no")] * 3, weather=failing)
    for number in range(3):
        await one.run(one.call(tools={"weather": {"sideEffects": "write"}}, run_id=f"r{number}"))
    assert [record["runId"] for record in one.sink.of("intent")] == ["r0", "r1"]
