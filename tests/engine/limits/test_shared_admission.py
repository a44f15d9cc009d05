"""Executors that hold one set of limits over Redis: intervals of real processes; a Redis that is killed and hangs."""

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.contracts.capacity import CapacityRules
from penstock.engine.limits.shared_ledger import LEASE_S
from penstock.errors import LimitReached, Unavailable
from penstock.testing.limit_desk import LimitDesk, limit_rules, run_claim, shared_desk
from penstock.testing.redis_server import RedisServer

pytestmark = pytest.mark.servers
PATIENCE_S = 15.0
ONE = {"concurrency": 1}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"test:{{{uuid.uuid4().hex}}}:"


@asynccontextmanager
async def desks(redis: RedisServer, prefix: str, rules: CapacityRules, count: int = 2) -> Any:
    """Several executors in one process, each with a connection of its own."""
    made = [shared_desk(rules, redis.url, prefix) for _ in range(count)]
    try:
        yield made
    finally:
        for desk in made:
            await desk.admission.close()


async def soon(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, PATIENCE_S)


async def everywhere(desk: LimitDesk, level: str = "team") -> tuple[int | None, int | None]:
    view = await desk.admission.view()
    (found,) = [seen for seen in view.levels if seen.level == level]
    return found.running_everywhere, found.waiting_everywhere


async def until(desk: LimitDesk, expected: tuple[int, int], *, level: str = "team", most: int = 99) -> None:
    """Asks until so many are at work and wait everywhere, and Redis answers; more than that are never at work."""
    seen = None
    for _ in range(round(PATIENCE_S / 0.01)):
        seen = await everywhere(desk, level)
        assert (seen[0] or 0) <= most, "a place is counted twice"
        if seen == expected:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{seen}, and not {expected}")


def worker(redis: RedisServer, prefix: str, rules: CapacityRules, *figures: float) -> "subprocess.Popen[str]":
    words = [redis.url, prefix, rules.model_dump_json(by_alias=True), *map(str, figures)]
    return subprocess.Popen(
        [sys.executable, "-m", "penstock.testing.limit_desk", *words], stdout=subprocess.PIPE, text=True
    )


def finished(process: "subprocess.Popen[str]") -> list[list[float]]:
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    found: list[list[float]] = json.loads(out)
    return found


def most_at_once(seen: list[list[float]]) -> int:
    """The most places that were held at one moment for certain: from when one was had until it was to be given back."""
    edges = sorted([(row[1], 1) for row in seen] + [(row[2], -1) for row in seen], key=lambda edge: edge)
    highest = running = 0
    for _, change in edges:
        running += change
        highest = max(highest, running)
    return highest


def certainly_in_one_window(seen: list[list[float]], window_s: float) -> int:
    """The most starts that lie in one window for certain, whatever moment between asked and got each was."""
    gots = sorted((row[1], row[0]) for row in seen)
    highest = 0
    for first in {row[0] for row in seen}:
        highest = max(highest, sum(first <= asked and got < first + window_s for got, asked in gots))
    return highest


def test_four_processes_hold_one_limit(redis: RedisServer, prefix: str) -> None:
    window_s, rate, concurrency = 0.5, 40, 6
    rules = limit_rules(
        **{"global": {"concurrency": concurrency, "queueDepth": 100}}, team={"ratePerMinute": rate}, maxWaitMs=5_000
    )
    processes = [worker(redis, prefix, rules, window_s, 1.5, 6, 0.01) for _ in range(4)]
    each = [finished(process) for process in processes]
    seen = [row for rows in each for row in rows]
    assert len(seen) >= 2 * rate
    assert all(each), "no executor starves"
    assert not any(len(row) > 3 for row in seen)
    assert most_at_once(seen) <= concurrency
    assert certainly_in_one_window(seen, window_s) <= rate


async def test_a_killed_executors_places_come_back(redis: RedisServer, prefix: str) -> None:
    rules = limit_rules(team={"concurrency": 3}, maxWaitMs=60_000)
    async with desks(redis, prefix, rules, 1) as (desk,):
        process = worker(redis, prefix, rules, 60, 600, 3, 600)
        (await soon(desk.enter())).leave()  # before the other has all, or this would wait
        await until(desk, (3, 0))
        waiting = await desk.start()
        process.kill()
        place = await soon(waiting)
        process.communicate()
        await until(desk, (1, 0))
        place.leave()
        await until(desk, (0, 0))


async def test_executors_take_turns(redis: RedisServer, prefix: str) -> None:
    served: list[LimitDesk] = []

    async def run(desk: LimitDesk) -> None:
        place = await soon(desk.enter())
        served.append(desk)
        await asyncio.sleep(0.03)  # a run of some length
        place.leave()

    async with desks(redis, prefix, limit_rules(team=ONE)) as (greedy, modest):
        place = await soon(greedy.enter())
        flood = [asyncio.ensure_future(run(greedy)) for _ in range(20)]
        one = asyncio.ensure_future(run(modest))
        await until(greedy, (1, 21))
        place.leave()
        await asyncio.gather(one, *flood)
        assert served.index(modest) <= 2
        await until(greedy, (0, 0))


async def test_the_depth_of_a_queue_counts_for_all_executors(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules(team={**ONE, "queueDepth": 2})) as (here, there):
        place = await soon(here.enter())
        waiting = [await here.start(), await there.start()]
        assert (here.queued, there.queued) == ([("team shop", 0)], [("team shop", 1)])
        with pytest.raises(LimitReached) as refused:
            await there.enter()
        assert (refused.value.level, refused.value.limit) == ("team shop", "queueDepth")
        waiting[0].cancel()
        await until(there, (1, 1))
        waiting.append(await there.start())
        place.leave()
        for task in waiting[1:]:
            (await soon(task)).leave()
        await until(here, (0, 0))


async def test_a_runtimes_places_are_each_executors_own(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules()) as (here, there):
        await soon(here.enter())
        assert await everywhere(here, "runtime") == (None, None)
        await soon(there.enter())
        assert await everywhere(there, "global") == (2, 0)


async def test_two_projects_share_nothing(redis: RedisServer, prefix: str) -> None:
    rules = limit_rules(team={**ONE, "queueDepth": 0})
    async with desks(redis, prefix, rules, 1) as (ours,), desks(redis, f"{prefix}x:", rules, 1) as (theirs,):
        await soon(ours.enter())
        await soon(theirs.enter())
        with pytest.raises(LimitReached):
            await ours.enter()


async def test_a_raise_serves_who_waits(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules(team=ONE)) as (here, there):
        await soon(here.enter())
        waiting = await there.start()
        there.admission.change(limit_rules(team={"concurrency": 2}))
        await soon(waiting)
        assert await everywhere(here) == (2, 0)


async def test_a_cancel_while_redis_is_asked_leaves_nothing(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules(team={"concurrency": 2})) as (here, there):
        (await soon(here.enter())).leave()
        for waits in (0, 1, 2, 3):
            tasks = [asyncio.ensure_future(here.enter()) for _ in range(20)]
            for _ in range(waits):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(outcome, BaseException):
                    outcome.leave()
        await until(here, (0, 0))
        (await soon(there.enter())).leave()


async def test_an_executor_that_was_taken_for_dead_says_again_what_it_holds(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules(team={"concurrency": 3})) as (here, there):
        held = [await soon(here.enter()) for _ in range(2)]
        redis.command("FLUSHALL")
        await until(here, (2, 0))
        await soon(there.enter())
        await until(here, (3, 0))
        for place in held:
            place.leave()
        await until(there, (1, 0))


async def test_redis_gone_and_closed_refuses_and_it_heals(
    redis: RedisServer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with desks(redis, prefix, limit_rules(team={"concurrency": 3})) as (here, there):
        held = [await soon(here.enter()), await soon(there.enter())]
        redis.kill()
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot be asked"):
                await here.enter()
        assert (await here.admission.view()).held == "alone"
        held.pop().leave()  # nobody can be told; it counts once Redis is back
        redis.start()
        await until(here, (1, 0))
        await until(there, (1, 0))
        assert caplog.text.count("cannot be asked") == 2  # once each
        assert caplog.text.count("answers again") == 2
        held.pop().leave()
        await until(there, (0, 0))


async def test_who_hears_nothing_of_redis_as_long_as_it_may_wait_is_refused(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules(team={"concurrency": 2}, maxWaitMs=60_000), 1) as (desk,):
        (await soon(desk.enter())).leave()  # the first one connects, and may take its time
        desk.admission.change(limit_rules(team={"concurrency": 2}, maxWaitMs=20))
        redis.stop()
        try:
            with pytest.raises(Unavailable, match="no answer in the time that a run may wait"):
                await soon(desk.enter())
        finally:
            redis.go_on()
        await until(desk, (0, 0))


async def test_a_redis_that_hangs_is_left_alone_and_what_it_does_later_counts_nothing_twice(
    redis: RedisServer, prefix: str
) -> None:
    rules = limit_rules(team={"concurrency": 2, "queueDepth": 0}, whenSharedIsGone="open")
    async with desks(redis, prefix, rules) as (here, there):
        held = [await soon(here.enter())]
        redis.stop()
        try:
            asked = [asyncio.ensure_future(here.enter()) for _ in range(3)]
            places = await soon(asyncio.gather(*asked, return_exceptions=True))
            alone = [place for place in places if not isinstance(place, BaseException)]
            assert [place.is_alone for place in alone] == [True]  # two of two are held here
            assert all(isinstance(place, LimitReached) for place in places if isinstance(place, BaseException))
            held += [*alone, await soon(there.enter())]  # each holds the limit alone
        finally:
            redis.go_on()
        await until(here, (3, 0), most=3)
        await until(there, (3, 0), most=3)
        for place in held:
            place.leave()
        await until(here, (0, 0))
        await until(there, (0, 0))
        assert not (await soon(here.enter())).is_alone


async def test_a_lease_is_renewed_while_nobody_asks(redis: RedisServer, prefix: str) -> None:
    async with desks(redis, prefix, limit_rules(team=ONE)) as (here, there):
        await soon(here.enter(run_claim()))
        await asyncio.sleep(LEASE_S + 0.5)
        waiting = await there.start()
        assert await everywhere(there) == (1, 1)
        waiting.cancel()
