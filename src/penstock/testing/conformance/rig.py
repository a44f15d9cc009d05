"""What the cases share: an engine around the adapter under test, with fakes behind the doors."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from penstock.contracts.event import TERMINAL, EventType, RunEvent
from penstock.contracts.runtime import Runtime as Declaration
from penstock.engine.call import RunCall
from penstock.engine.engine import Engine, RunHandle
from penstock.engine.result import RunResult
from penstock.engine.router import RUNTIMES, RuntimeRouter
from penstock.pal import Runtime
from penstock.testing.example_release import ALLOW_ALL, example_declaration, example_release
from penstock.testing.fake_provider import FakeProvider
from penstock.testing.fake_tools import FakeTools
from penstock.testing.memory_sink import MemorySink

PATIENCE_S = 10.0


class Cases:
    """One group of cases; `adapter` is the class under test, `distribution` the Python package that it drives."""

    adapter: Callable[[Declaration], Runtime]
    distribution: str = "penstock"

    def rig(self, provider: FakeProvider, tools: FakeTools | None = None) -> "Rig":
        """An engine that has the adapter under test as its only runtime."""
        return Rig(type(self).adapter, self.distribution, provider, tools or FakeTools())


class Rig:
    """An engine, its fakes, and short ways to run on it."""

    def __init__(
        self, adapter: Callable[[Declaration], Runtime], distribution: str, provider: FakeProvider, tools: FakeTools
    ) -> None:
        name = f"under-test-{adapter.__qualname__.lower()}"
        RUNTIMES.register(name)(adapter)
        self.name = name
        self.provider, self.tools = provider, tools
        self.sink = MemorySink()
        router = RuntimeRouter({name: example_declaration(name, distribution)})
        self.engine = Engine(router, provider, tools, self.sink)

    def call(
        self,
        agent: Mapping[str, Any] | None = None,
        *,
        tools: Mapping[str, Mapping[str, Any]] | None = None,
        rules: Sequence[Mapping[str, Any]] = ALLOW_ALL,
        spare_tools: Mapping[str, Mapping[str, Any]] | None = None,
        **fields: Any,
    ) -> RunCall:
        """A call of an example release (see `example_release`); `fields` are the call's."""
        release, body = example_release(agent, tools=tools, rules=rules, spare_tools=spare_tools)
        call = RunCall(release=release, prompt_body=body, runtime=self.name, input="hello")
        return replace(call, **fields)

    def start(self, call: RunCall | None = None) -> RunHandle:
        """Starts a call."""
        return self.engine.start(call or self.call())

    async def run(self, call: RunCall | None = None) -> RunResult:
        """The result of a call."""
        return await asyncio.wait_for(self.start(call).result(), PATIENCE_S)

    def types(self) -> list[str]:
        """The types of all stored events, decisions of the policies apart."""
        return [event["type"] for event in self.sink.events() if event["type"] != "policy.decided"]

    def told(self) -> list[dict[str, Any]]:
        """The tool messages that the model read last."""
        return [dict(message) for message in self.provider.calls[-1].messages if message["role"] == "tool"]

    def require_sound_events(self) -> None:
        """Each event fits the contract, `seq` has no gap, and exactly the last one is terminal."""
        events = self.sink.events()
        for event in events:
            RunEvent.model_validate(event)
            assert event["type"] in get_args(EventType)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [event["type"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True]
