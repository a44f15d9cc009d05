"""Cases of what goes to the model and to the tools, and of the events that say so."""

import asyncio
from collections.abc import Mapping
from typing import Any

from penstock.pal import ModelCall
from penstock.testing.conformance.rig import Cases
from penstock.testing.example_release import TOWN_TOOL
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools


def _weather(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": len(arguments["town"])}


class ConversationCases(Cases):
    """Messages, tools, history, ids, events."""

    async def test_run_of_two_model_calls_and_a_tool_call(self) -> None:
        """The model's second call has the first answer and the tool's result, in the chat protocol's form."""
        provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("4 degrees"))
        rig = self.rig(provider, FakeTools(weather=_weather))
        result = await rig.run(rig.call(tools={"weather": {}}))
        assert (result.status, result.output) == ("finished", "4 degrees")
        system, user, assistant, tool = provider.calls[1].messages
        assert [system, user] == list(provider.calls[0].messages)
        call_id = assistant["tool_calls"][0]["id"]
        assert assistant["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"town":"Bonn"}'}
        assert tool == {"role": "tool", "tool_call_id": call_id, "content": '{"degrees":4}'}

    async def test_system_prompt_comes_first_and_the_input_last(self) -> None:
        """Nothing of the runtime's own is said to the model."""
        provider = FakeProvider(says("hi"))
        await self.rig(provider).run()
        assert list(provider.calls[0].messages) == [
            {"role": "system", "content": "You are a clerk, and you answer in English."},
            {"role": "user", "content": "hello"},
        ]

    async def test_tool_schema_reaches_the_model_unchanged(self) -> None:
        """Name, description and JSON Schema are the release's."""
        provider = FakeProvider(says("hi"))
        rig = self.rig(provider)
        await rig.run(rig.call(tools={"weather": {}}))
        [offer] = provider.calls[0].tools
        assert (offer.name, offer.description) == ("weather", "The weather.")
        assert offer.parameters == TOWN_TOOL["input"]["schema"]

    async def test_history_is_passed_in(self) -> None:
        """Between system prompt and input, as it was."""
        provider = FakeProvider(says("hi"))
        rig = self.rig(provider)
        history = ({"role": "user", "content": "before"}, {"role": "assistant", "content": "indeed"})
        await rig.run(rig.call({"mode": "conversational"}, history=history))
        assert tuple(provider.calls[0].messages[1:3]) == history
        assert len(provider.calls[0].messages) == 4

    async def test_events_come_in_order_with_one_terminal(self) -> None:
        """The facts are the doors', the same for every runtime."""
        provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("4 degrees"))
        rig = self.rig(provider, FakeTools(weather=_weather))
        await rig.run(rig.call(tools={"weather": {}}))
        rig.require_sound_events()
        model, tool = ["llm.started", "llm.finished"], ["tool.started", "tool.finished"]
        assert rig.types() == ["run.started", *model, *tool, *model, "run.finished"]

    async def test_deltas_concatenate_to_the_output(self) -> None:
        """Streamed pieces have no seq, name the stored event before them, and count up."""
        provider = FakeProvider(says("a longer answer, in pieces"))
        rig = self.rig(provider)
        handle = rig.start(rig.call(stream=True))
        deltas = [event async for event in handle.events() if event["type"] == "token.delta"]
        result = await handle.result()
        assert "".join(delta["data"]["text"] for delta in deltas) == result.output == "a longer answer, in pieces"
        assert [delta["data"]["index"] for delta in deltas] == list(range(len(deltas)))
        assert {delta["seq"] for delta in deltas} == {None}

    async def test_model_calls_counted_are_the_calls_made(self) -> None:
        """Usage is the sum over the provider's calls."""
        provider = FakeProvider(*[asks(("weather", {"town": "Bonn"}))] * 3, says("done"))
        rig = self.rig(provider, FakeTools(weather=_weather))
        usage = (await rig.run(rig.call(tools={"weather": {}}))).usage
        assert usage.model_calls == len(provider.calls) == 4
        assert (usage.tool_calls, usage.total_tokens) == (len(rig.tools.calls), 4 * 15) == (3, 60)

    async def test_three_calls_run_in_parallel_and_keep_their_order(self) -> None:
        """All three are in flight before the first ends."""
        together = asyncio.Barrier(3)

        async def weather(arguments: Mapping[str, Any]) -> dict[str, Any]:
            await together.wait()
            return _weather(arguments)

        towns = ["Bonn", "Mainz", "Berlin"]
        provider = FakeProvider(asks(*(("weather", {"town": town}) for town in towns)), says("done"))
        rig = self.rig(provider, FakeTools(weather=weather))
        result = await rig.run(rig.call(tools={"weather": {}}))
        assert result.finished
        assert [told["content"] for told in rig.told()] == [f'{{"degrees":{len(town)}}}' for town in towns]

    async def test_repeated_call_id_executes_each_call(self) -> None:
        """Providers repeat ids; the platform's own are unique, and each call is answered once."""
        twice = asks(("weather", {"town": "Bonn"}), ("weather", {"town": "Bonn"}), call_id="call_0")
        provider = FakeProvider(twice, twice, says("done"))
        rig = self.rig(provider, FakeTools(weather=_weather))
        await rig.run(rig.call(tools={"weather": {}}))
        ids = [told["tool_call_id"] for told in rig.told()]
        assert len(set(ids)) == len(rig.tools.calls) == 4
        assert [call.call_id for call in rig.tools.calls] == ids

    async def test_ids_are_as_given(self) -> None:
        """Run, session, trace, parent span, tenant and user stand on every event and in the result."""
        given: dict[str, Any] = {
            "run_id": "run-1",
            "session_id": "s-1",
            "trace_id": "t" * 32,
        }
        rig = self.rig(FakeProvider(says("hi")))
        result = await rig.run(rig.call(parent_span_id="p" * 16, tenant="acme", user="ada", **given))
        assert (result.run_id, result.session_id, result.trace_id) == ("run-1", "s-1", "t" * 32)
        for event in rig.sink.events():
            ids = (event["runId"], event["sessionId"], event["traceId"], event["tenant"], event["actor"])
            assert ids == ("run-1", "s-1", "t" * 32, "acme", "ada")
        assert rig.sink.events()[-1]["parentSpanId"] == "p" * 16

    async def test_parameters_of_the_release_reach_the_provider(self) -> None:
        """Model, parameters and a deadline within the run's own."""
        seen: list[ModelCall] = []

        def answer(call: ModelCall) -> Any:
            seen.append(call)
            return says("hi")

        await self.rig(FakeProvider(answer)).run()
        assert (seen[0].ref, seen[0].model) == ("models/fake@1.0.0", "fake/one")
        assert 0 < seen[0].timeout_s <= 30
