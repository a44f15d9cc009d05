"""Cases of many runs at once, and of what an adapter may not do behind the platform's back."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.engine.call import RunCall, new_run_id
from penstock.pal import ModelAnswer, ModelCall
from penstock.testing.conformance.rig import Cases
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says
from penstock.testing.fake_tools import FakeTools

RUNS = 100
_IMPORT = """
import socket, threading
def refuse(*arguments, **options): raise SystemExit(f"looked up {arguments[0]}")
socket.getaddrinfo = socket.gethostbyname = refuse
import penstock.pal, MODULE
assert threading.active_count() == 1, threading.enumerate()
"""


def _weather(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"degrees": int(arguments["town"])}


async def _echoes(call: ModelCall) -> ModelAnswer:
    """Asks for the weather at the input's number, then repeats what it was told."""
    await asyncio.sleep(0)
    last = call.messages[-1]
    return asks(("weather", {"town": last["content"]})) if last["role"] == "user" else says(last["content"])


class IsolationCases(Cases):
    """Runs share the adapter and nothing else."""

    async def test_hundred_runs_at_once_are_isolated(self) -> None:
        """Each run answers its own input, with its own events and sums."""
        rig = self.rig(FakeProvider(_echoes), FakeTools(weather=_weather))
        call = rig.call(tools={"weather": {}})
        handles = [rig.start(_with(call, number)) for number in range(RUNS)]
        results = await asyncio.gather(*(handle.result() for handle in handles))
        assert [result.output for result in results] == [f'{{"degrees":{number}}}' for number in range(RUNS)]
        assert {result.usage.model_calls for result in results} == {2}
        lengths = {len(rig.sink.events(handle.run_id)) for handle in handles}
        assert len(lengths) == 1

    async def test_cancelling_half_leaves_the_other_half_alone(self) -> None:
        """Scopes are per run."""
        go = asyncio.Event()

        async def answer(call: ModelCall) -> ModelAnswer:
            if int(call.messages[-1]["content"]) % 2:
                return await hangs(call)
            await go.wait()
            return says("done")

        rig = self.rig(FakeProvider(answer))
        handles = [rig.start(_with(rig.call(), number)) for number in range(10)]
        await rig.provider.asked.wait()
        for handle in handles[1::2]:
            handle.cancel("odd")
        go.set()
        results = await asyncio.gather(*(handle.result() for handle in handles))
        assert [result.status for result in results] == ["finished", "cancelled"] * 5

    async def test_run_starts_no_thread_and_looks_up_no_name(self) -> None:
        """The doors are the only way out."""
        rig = self.rig(FakeProvider(_echoes), FakeTools(weather=_weather))
        call = _with(rig.call(tools={"weather": {}}), 1)
        looked_up: list[Any] = []
        before, real = threading.active_count(), socket.getaddrinfo
        socket.getaddrinfo = lambda *arguments, **_: looked_up.append(arguments) or []  # type: ignore[func-returns-value]
        try:
            result = await rig.run(call)
        finally:
            socket.getaddrinfo = real
        assert result.finished
        assert (looked_up, threading.active_count()) == ([], before)

    def test_import_starts_no_thread_and_looks_up_no_name(self) -> None:
        """In a fresh interpreter."""
        script = _IMPORT.replace("MODULE", type(self).adapter.__module__)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def _with(call: RunCall, number: int) -> RunCall:
    return replace(call, input=str(number), run_id=new_run_id())
