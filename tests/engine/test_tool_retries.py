"""Tools asked again: after network faults and rate limits only, where it can do no harm, within their own time."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from penstock.engine import patience
from penstock.engine.spans import trace_spans
from penstock.pal import ToolFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.002)


class Flaky:
    """A tool that fails so often before it answers."""

    def __init__(self, times: int, **failure: Any) -> None:
        self.left = times
        self.failure = {"retryable": True, **failure}

    def __call__(self, _: Mapping[str, Any]) -> dict[str, Any]:
        self.left -= 1
        if self.left >= 0:
            raise ToolFailed("connection reset by Bonn", where="weather", **self.failure)
        return {"degrees": 4}


def asking(rig: MakeRig, tool: Callable[..., Any]) -> Rig:
    return rig(FakeProvider(asks(("weather", {"town": "Bonn"})), says("done")), FakeTools(weather=tool))


async def test_a_moment_later_it_goes_well_under_the_same_key(rig: MakeRig) -> None:
    one = asking(rig, Flaky(2))
    result = await one.run(one.call(tools={"weather": {}}))
    assert (result.status, result.usage.tool_calls, result.usage.tool_failures) == ("finished", 1, 0)
    assert len(one.tools.calls) == 3
    assert len({(call.call_id, call.idempotency_key, call.deadline) for call in one.tools.calls}) == 1
    told = [event for event in one.sink.events() if event["type"] == "tool.retried"]
    assert [event["data"]["attempt"] for event in told] == [1, 2]
    assert all("Bonn" not in str(event["data"]) for event in told), "what a tool said may quote its arguments"
    assert {event["spanId"] for event in told} == {trace_spans(one.sink.events())[2].span_id}
    one.require_sound_events()


async def test_attempts_are_bounded_and_the_model_reads_the_last_reason(rig: MakeRig) -> None:
    one = asking(rig, Flaky(99))
    assert (await one.run(one.call(tools={"weather": {}}))).finished
    assert len(one.tools.calls) == patience.ATTEMPTS
    assert one.told()[-1]["content"] == "Error: connection reset by Bonn"


@pytest.mark.parametrize(
    ("fields", "failure", "calls"),
    [
        ({"sideEffects": "write"}, {}, 1),
        ({"sideEffects": "write", "idempotent": True}, {}, 2),
        ({"sideEffects": "none"}, {}, 2),
        ({}, {"retryable": False}, 1),
        ({"timeoutMs": 500}, {"retry_after_s": 0.6}, 1),
        ({}, {"retry_after_s": 61.0}, 1),
    ],
)
async def test_only_what_can_do_no_harm_is_asked_again_and_never_past_its_time(
    rig: MakeRig, fields: dict[str, Any], failure: dict[str, Any], calls: int
) -> None:
    one = asking(rig, Flaky(1, **failure))
    await one.run(one.call(tools={"weather": fields}))
    assert len(one.tools.calls) == calls


async def test_an_intent_to_write_is_written_once(rig: MakeRig) -> None:
    one = asking(rig, Flaky(1))
    await one.run(one.call(tools={"weather": {"sideEffects": "write", "idempotent": True}}))
    assert len(one.sink.of("intent")) == 1


async def test_a_cancel_in_the_wait_ends_at_once(rig: MakeRig) -> None:
    one = asking(rig, Flaky(1, retry_after_s=5.0))
    handle = one.start(one.call(tools={"weather": {}}))
    async for event in handle.events():
        if event["type"] == "tool.retried":
            handle.cancel("enough")
    assert ((await handle.result()).status, len(one.tools.calls)) == ("cancelled", 1)
