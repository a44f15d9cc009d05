from collections.abc import Callable
from typing import Any

from penstock.contracts.span import TraceSpan
from penstock.engine.spans import trace_spans
from penstock.pal import Usage
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]


async def test_spans_of_a_run_hang_together_and_sum_up(rig: MakeRig) -> None:
    provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("done", Usage(20, 7, 0.5)))
    one = rig(provider, FakeTools(weather=lambda _: {"degrees": 4}))
    result = await one.run(one.call(tools={"weather": {}}, session_id="s", parent_span_id="f" * 16))
    run, *calls = trace_spans(one.sink.events())
    assert [call.name for call in calls] == ["chat fake", "execute_tool weather", "chat fake"]
    assert (run.name, run.status, run.parent_span_id) == ("invoke_agent clerk", "OK", "f" * 16)
    assert {call.parent_span_id for call in calls} == {run.span_id}
    assert len({run.span_id, *(call.span_id for call in calls)}) == 4
    assert {span.trace_id for span in (run, *calls)} == {result.trace_id}
    assert run.attributes["gen_ai.agent.version"] == result.release
    assert run.attributes["gen_ai.conversation.id"] == "s"
    for name, total in (
        ("gen_ai.usage.input_tokens", result.usage.prompt_tokens),
        ("gen_ai.usage.output_tokens", result.usage.completion_tokens),
        ("penstock.cost_usd", result.usage.cost_usd),
    ):
        assert run.attributes[name] == sum(call.attributes.get(name, 0) for call in calls) == total
    assert_times(run, calls)


async def test_a_failed_tool_and_an_open_call_are_errors(rig: MakeRig) -> None:
    provider = FakeProvider(asks(("weather", {"town": 5})), hangs)
    one = rig(provider, FakeTools())
    await one.run(one.call({"limits": {"timeoutMs": 50}}, tools={"weather": {}}))
    run, model, tool, hanging = trace_spans(one.sink.events())
    assert [span.status for span in (run, model, tool, hanging)] == ["ERROR", "OK", "ERROR", "ERROR"]
    assert (run.attributes["error.type"], tool.attributes["error.type"]) == ("timeout", "arguments")
    assert hanging.end_time_unix_nano == run.end_time_unix_nano


async def test_unknown_cost_is_left_out(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("hi", Usage(1, 1, None))))
    await one.run()
    run, _ = trace_spans(one.sink.events())
    assert "penstock.cost_usd" not in run.attributes
    assert run.attributes["gen_ai.usage.input_tokens"] == 1


def test_no_events_give_no_spans() -> None:
    assert trace_spans([]) == []


def assert_times(run: TraceSpan, calls: list[TraceSpan]) -> None:
    edges: list[Any] = [(call.start_time_unix_nano, call.end_time_unix_nano) for call in calls]
    assert all(run.start_time_unix_nano <= start <= end <= run.end_time_unix_nano for start, end in edges)
    assert run.start_time_unix_nano % 1000 == 0
    assert run.start_time_unix_nano > 1_700_000_000_000_000_000
