"""Cases of cancel: wherever the run is, whoever asks, everything ends."""

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio

from penstock.engine.engine import RunHandle
from penstock.testing.conformance.rig import PATIENCE_S, Cases, Rig
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools


async def _waits_for_ever(_: Mapping[str, Any]) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


class CancelCases(Cases):
    """A cancel reaches the model call and the tool, and nothing is left running."""

    async def test_cancel_in_a_model_call(self) -> None:
        """The provider sees it."""
        rig = self.rig(FakeProvider(hangs))
        handle = rig.start()
        await rig.provider.asked.wait()
        assert handle.cancel("no longer wanted")
        await self._require_cancelled(rig, handle)
        assert rig.provider.cancelled == 1
        assert not handle.cancel("again")

    async def test_cancel_in_a_tool(self) -> None:
        """The tool sees it, and no further model call is made."""
        rig = self.rig(
            FakeProvider(asks(("weather", {"town": "Bonn"})), says("late")), FakeTools(weather=_waits_for_ever)
        )
        handle = rig.start(rig.call(tools={"weather": {}}))
        await rig.tools.asked.wait()
        handle.cancel("no longer wanted")
        await self._require_cancelled(rig, handle)
        assert (rig.tools.ended["cancelled"], len(rig.provider.calls)) == (1, 1)

    async def test_cancel_by_asyncio(self) -> None:
        """A waiter's task that is cancelled takes the run along."""
        rig = self.rig(FakeProvider(hangs))
        handle = rig.start()
        waiter = asyncio.ensure_future(handle.result_or_cancel())
        await rig.provider.asked.wait()
        waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled()
        await self._require_cancelled(rig, handle)

    async def test_cancel_by_anyio(self) -> None:
        """A cancel scope around the waiter, as web frameworks use it."""
        rig = self.rig(FakeProvider(hangs))
        handle = rig.start()
        async with anyio.create_task_group() as group:
            group.start_soon(handle.result_or_cancel)
            await rig.provider.asked.wait()
            group.cancel_scope.cancel()
        await self._require_cancelled(rig, handle)

    async def test_waiter_that_leaves_does_not_end_the_run(self) -> None:
        """`result` is a look, not a lease."""
        release = asyncio.Event()

        async def answer(_: Any) -> Any:
            await release.wait()
            return says("in peace")

        rig = self.rig(FakeProvider(answer))
        handle = rig.start()
        waiter = asyncio.ensure_future(handle.result())
        await rig.provider.asked.wait()
        waiter.cancel()
        await asyncio.wait([waiter])
        release.set()
        assert (await handle.result()).output == "in peace"

    async def test_dropped_stream_ends_the_run(self) -> None:
        """An iterator that is closed before the terminal event, if it was asked to care."""
        rig = self.rig(FakeProvider(hangs))
        handle = rig.start(rig.call(stream=True))
        events = handle.events(cancel_when_left=True)
        async for event in events:
            if event["type"] == "llm.started":
                break
        await rig.provider.asked.wait()
        await events.aclose()
        await self._require_cancelled(rig, handle)

    async def test_tool_that_swallows_its_cancel_is_ended(self) -> None:
        """It is cancelled again, and the run does not wait for it for ever."""
        refusals = 0

        async def stubborn(_: Mapping[str, Any]) -> dict[str, Any]:
            nonlocal refusals
            while refusals < 4:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    refusals += 1
            await asyncio.Event().wait()
            return {}

        rig = self.rig(FakeProvider(asks(("weather", {"town": "Bonn"})), says("late")), FakeTools(weather=stubborn))
        handle = rig.start(rig.call(tools={"weather": {}}))
        await rig.tools.asked.wait()
        handle.cancel("no longer wanted")
        await self._require_cancelled(rig, handle)
        assert (refusals, rig.tools.ended["cancelled"]) == (4, 1)

    async def test_cancel_among_parallel_tools_ends_all(self) -> None:
        """None of three runs on."""
        three = asks(*[("weather", {"town": town}) for town in ("Bonn", "Mainz", "Ulm")])
        rig = self.rig(FakeProvider(three, says("late")), FakeTools(weather=_waits_for_ever))
        handle = rig.start(rig.call(tools={"weather": {}}))
        async for _ in handle.events():
            if rig.types().count("tool.started") == 3:
                break
        handle.cancel("no longer wanted")
        await self._require_cancelled(rig, handle)
        assert rig.tools.ended["finished"] == 0

    async def _require_cancelled(self, rig: Rig, handle: RunHandle) -> None:
        """The run ended as cancelled, once, and left no task behind."""
        result = await asyncio.wait_for(handle.result(), PATIENCE_S)
        assert result.failure is not None
        assert (result.status, result.failure.code) == ("cancelled", "cancel")
        rig.require_sound_events()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []
