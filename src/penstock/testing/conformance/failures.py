"""Cases of what goes wrong: in the model, in tools, by policies, by limits."""

import asyncio
from collections.abc import Mapping
from typing import Any

from penstock.engine.result import RunResult
from penstock.pal import ModelFailed, ToolFailed
from penstock.testing.conformance.rig import Cases, Rig
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

ALLOW: dict[str, Any] = {"name": "all", "effect": "allow"}


class FailureCases(Cases):
    """A tool's failure is something the model reads; a model's failure and a limit end the run."""

    async def test_tool_error_is_an_answer(self) -> None:
        """The model reads why, and goes on."""

        def weather(_: Mapping[str, Any]) -> dict[str, Any]:
            raise ToolFailed("the station is closed")

        rig = await self._asked({"town": "Bonn"}, FakeTools(weather=weather))
        assert "the station is closed" in rig.told()[0]["content"]
        assert "tool.failed" in rig.types()

    async def test_unknown_tool_is_an_answer(self) -> None:
        """It names the tools that there are."""
        provider = FakeProvider(asks(("wether", {})), says("done"))
        rig = self.rig(provider)
        assert (await rig.run(rig.call(tools={"weather": {}}))).finished
        assert "weather" in rig.told()[0]["content"]
        assert rig.tools.calls == []

    async def test_invalid_arguments_are_an_answer(self) -> None:
        """All faults are named, and the tool is not called."""
        rig = await self._asked({"town": 5}, FakeTools(weather=lambda _: {"degrees": 1}))
        assert "/town" in rig.told()[0]["content"]
        assert rig.tools.calls == []

    async def test_arguments_that_are_no_json_are_an_answer(self) -> None:
        """Half an object is no object."""
        rig = await self._asked('{"town": "Bo', FakeTools(weather=lambda _: {"degrees": 1}))
        assert "no JSON object" in rig.told()[0]["content"]
        assert rig.tools.calls == []

    async def test_result_that_breaks_its_schema_is_an_answer(self) -> None:
        """A wrong result is never passed on as a right one."""
        rig = await self._asked({"town": "Bonn"}, FakeTools(weather=lambda _: {"degrees": "warm"}))
        assert "/degrees" in rig.told()[0]["content"]
        assert "warm" not in rig.told()[0]["content"]

    async def test_denied_tool_is_an_answer(self) -> None:
        """The reason is the rule's; the decision is an event."""
        deny = {"name": "no-weather", "effect": "deny", "actions": ["tool.call"], "reason": "not at sea"}
        provider = FakeProvider(asks(("weather", {"town": "Bonn"})), says("done"))
        rig = self.rig(provider, FakeTools(weather=lambda _: {"degrees": 1}))
        assert (await rig.run(rig.call(tools={"weather": {}}, rules=[ALLOW, deny]))).finished
        assert "not at sea" in rig.told()[0]["content"]
        assert rig.tools.calls == []
        denials = [e["data"] for e in rig.sink.events() if e["type"] == "policy.decided" and not e["data"]["allowed"]]
        assert [denial["rule"] for denial in denials] == ["no-weather"]

    async def test_denied_model_ends_the_run(self) -> None:
        """No call reaches the provider."""
        deny = {"name": "no-model", "effect": "deny", "actions": ["model.use"]}
        rig = self.rig(FakeProvider(says("hi")))
        result = await rig.run(rig.call(rules=[ALLOW, deny]))
        _require_failed(result, "policy")
        assert rig.provider.calls == []

    async def test_model_error_ends_the_run(self) -> None:
        """With its code, and where."""
        rig = self.rig(FakeProvider(ModelFailed("no answer came", where="models/fake@1.0.0")))
        result = await rig.run()
        _require_failed(result, "model")
        assert result.failure is not None
        assert (result.failure.what, result.failure.where) == ("no answer came", "models/fake@1.0.0")
        rig.require_sound_events()

    async def test_tool_that_cancels_itself_is_an_answer(self) -> None:
        """CancelledError out of a tool is that tool's fault, and cancels nothing else."""

        def weather(_: Mapping[str, Any]) -> dict[str, Any]:
            raise asyncio.CancelledError

        rig = await self._asked({"town": "Bonn"}, FakeTools(weather=weather))
        assert "cancelled itself" in rig.told()[0]["content"]

    async def test_tool_timeout_is_an_answer(self) -> None:
        """The tool's own limit; the tool is cancelled."""

        async def weather(_: Mapping[str, Any]) -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        rig = await self._asked({"town": "Bonn"}, FakeTools(weather=weather), timeoutMs=20)
        assert "within 20 ms" in rig.told()[0]["content"]
        assert rig.tools.ended["cancelled"] == 1

    async def test_run_timeout_ends_the_run(self) -> None:
        """The model call in flight is cancelled."""
        rig = self.rig(FakeProvider(hangs))
        result = await rig.run(rig.call({"limits": {"timeoutMs": 30}}))
        assert result.failure is not None
        assert (result.status, result.failure.code, rig.provider.cancelled) == ("timed_out", "timeout", 1)
        rig.require_sound_events()

    async def test_endless_tool_loop_is_stopped(self) -> None:
        """By maxSteps, which counts model and tool calls."""
        rig = self.rig(
            FakeProvider(lambda _: asks(("weather", {"town": "Bonn"}))), FakeTools(weather=lambda _: {"degrees": 1})
        )
        result = await rig.run(rig.call({"limits": {"maxSteps": 9}}, tools={"weather": {}}))
        _require_failed(result, "limit")
        assert len(rig.provider.calls) + len(rig.tools.calls) == result.usage.steps == 9
        rig.require_sound_events()

    async def _asked(self, arguments: Mapping[str, Any] | str, tools: FakeTools, **tool_fields: Any) -> Rig:
        """A finished run in which the model asked for the weather once."""
        rig = self.rig(FakeProvider(asks(("weather", arguments)), says("done")), tools)
        result = await rig.run(rig.call(tools={"weather": tool_fields}))
        assert (result.status, result.output) == ("finished", "done")
        rig.require_sound_events()
        return rig


def _require_failed(result: RunResult, code: str) -> None:
    assert result.failure is not None
    assert (result.status, result.failure.code, result.output) == ("failed", code, None)
