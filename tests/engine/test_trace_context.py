from collections.abc import Callable
from typing import Any

import pytest

from penstock.engine.spans import trace_spans
from penstock.engine.trace_context import parent_of, read_traceparent, traceparent
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_traceparent_is_read_and_written() -> None:
    assert read_traceparent(traceparent(TRACE, SPAN)) == (TRACE, SPAN)
    assert read_traceparent(f" 00-{TRACE}-{SPAN}-00 ") == (TRACE, SPAN)
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-01-what-comes-later") == (TRACE, SPAN)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_is_none_is_left_alone(wrong: str) -> None:
    assert read_traceparent(wrong) is None


def test_two_of_them_name_no_trace() -> None:
    one = (b"traceparent", traceparent(TRACE, SPAN).encode())
    assert parent_of([(b"host", b"x"), one]) == (TRACE, SPAN)
    assert parent_of([one, one]) is None
    assert parent_of([]) is None


async def test_models_and_tools_are_told_the_span_of_their_call(rig: Callable[..., Rig]) -> None:
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("done"))
    tools = FakeTools(weather=lambda _: {"degrees": 4})
    one: Any = rig(provider, tools)
    handle = one.start(one.call(tools={"weather": {}}, trace_id=TRACE, parent_span_id=SPAN))
    await handle.result()
    run, *calls = trace_spans(one.sink.events())
    told = [provider.calls[0].traceparent, tools.calls[0].traceparent, provider.calls[1].traceparent]
    assert told == [traceparent(TRACE, call.span_id) for call in calls]
    assert handle.traceparent == traceparent(TRACE, run.span_id)
    assert run.parent_span_id == SPAN
