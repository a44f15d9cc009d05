import asyncio

import pytest

from penstock.engine.failure import RunOver
from penstock.engine.scope import CallOverdue, CallVanished, RunScope


async def gives(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def waits(begun: asyncio.Event | None = None) -> None:
    if begun is not None:
        begun.set()
    await asyncio.Event().wait()


async def vanishes() -> None:
    raise asyncio.CancelledError


async def breaks() -> None:
    raise KeyError("x")


async def test_results_and_errors_pass() -> None:
    scope = RunScope()
    assert await scope.run(gives(3)) == 3
    with pytest.raises(KeyError):
        await scope.run(breaks())
    assert not scope.busy


async def test_closing_cancels_what_is_in_flight_and_refuses_what_comes() -> None:
    scope = RunScope()
    begun = asyncio.Event()
    caller = asyncio.ensure_future(scope.run(waits(begun)))
    await begun.wait()
    scope.close()
    with pytest.raises(RunOver):
        await caller
    await scope.settle()
    assert not scope.busy
    with pytest.raises(RunOver):
        await scope.run(gives(1))


async def test_a_result_that_comes_after_the_end_is_fenced() -> None:
    scope = RunScope()

    async def closes_while_it_works() -> int:
        scope.closed = True
        return 1

    with pytest.raises(RunOver):
        await scope.run(closes_while_it_works())


async def test_overdue_and_vanished_calls_are_told_apart() -> None:
    scope = RunScope()
    with pytest.raises(CallOverdue):
        await scope.run(waits(), timeout_s=0.01)
    with pytest.raises(CallVanished):
        await scope.run(vanishes())
    await scope.settle()
    assert not scope.busy


async def test_a_caller_that_is_cancelled_takes_its_call_along() -> None:
    scope = RunScope()
    begun = asyncio.Event()
    caller = asyncio.ensure_future(scope.run(waits(begun)))
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller])
    await scope.settle()
    assert (caller.cancelled(), scope.busy) == (True, False)
