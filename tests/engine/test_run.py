import asyncio
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.engine.compiled import CompiledRelease
from penstock.engine.failure import Failure, RunOver
from penstock.engine.run import Run
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider
from penstock.testing.fake_tools import FakeTools
from penstock.testing.memory_sink import MemorySink

LIMIT = Failure("limit", "too much", "here")
CANCEL = Failure("cancel", "not wanted", "there")


def make_run() -> Run:
    call = Rig(DirectRuntime, "penstock", FakeProvider(), FakeTools()).call()
    return Run(call, CompiledRelease(call.release, call.prompt_body), MemorySink())


async def test_the_first_reason_stays() -> None:
    run = make_run()

    async def work() -> Any:
        run.stop(LIMIT)
        run.stop(CANCEL)
        return "too late"

    result = await run.drive(work)
    assert (result.status, result.failure, result.output) == ("failed", LIMIT, None)


async def test_a_finished_run_cannot_be_stopped() -> None:
    run = make_run()

    async def work() -> Any:
        return "done"

    result = await run.drive(work)
    run.stop(CANCEL)
    assert (result.status, run.failure) == ("finished", None)


async def test_a_stopped_run_lets_nothing_through() -> None:
    run = make_run()
    reached = []

    async def work() -> Any:
        with pytest.raises(RunOver):
            run.check(LIMIT)
        with pytest.raises(RunOver):
            run.check(None)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.append("cancelled")
        return "swallowed"

    result = await run.drive(work)
    assert (result.failure, result.output, reached) == (LIMIT, None, ["cancelled"])
