import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contracts.eval_suite import ModelPace
from penstock.scoring.budget import Budget
from penstock.scoring.harness import Bounds, measure
from penstock.scoring.pace import Bucket, Pacing
from penstock.store.trials import MemoryTrials
from penstock.testing.fake_subject import FakeSubject, eval_cases, fake_trial

MINUTE_S = 60.0


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def pacing(clock: Clock, rpm: int | None = None, tpm: int | None = None) -> Pacing:
    return Pacing({"one": ModelPace(rpm=rpm, tpm=tpm)}, clock=clock, sleep=clock.sleep)


def most_in_a_minute(times: list[float], amounts: list[float]) -> float:
    return max(
        sum(amount for at, amount in zip(times, amounts, strict=True) if start <= at < start + MINUTE_S)
        for start in times
    )


@pytest.mark.parametrize("rpm", [1, 7, 60, 600, 3_000])
async def test_requests_a_minute_are_held(rpm: int) -> None:
    clock, begun = Clock(), []
    paces = pacing(clock, rpm=rpm)
    count = min(4 * rpm + 3, 2_000)

    async def work(numbers: "itertools.count[int]") -> None:
        while next(numbers) < count:
            admission = await paces.admit("one", 1e9)
            assert admission is not None
            begun.append(clock.now)
            admission.settle(1, 0)

    numbers = itertools.count()
    await asyncio.gather(*(work(numbers) for _ in range(10)))
    assert len(begun) == count
    assert most_in_a_minute(begun, [1.0] * count) <= rpm + max(1, rpm / MINUTE_S) + 1e-6
    took = begun[-1] - begun[0]
    assert took <= count / rpm * MINUTE_S  # and not slower than that either


async def test_requests_of_runs_with_many_calls_are_settled_by_what_they_made() -> None:
    clock, begun = Clock(), []
    paces = pacing(clock, rpm=60)
    for _ in range(100):
        admission = await paces.admit("one", 1e9)
        assert admission is not None
        begun.append(clock.now)
        admission.settle(3, 0)
    assert most_in_a_minute(begun, [3.0] * 100) <= 60 + 3
    assert begun[-1] - begun[0] >= 98 * 3


async def test_tokens_a_minute_are_held_by_real_usage() -> None:
    clock, begun, used = Clock(), [], []
    paces = pacing(clock, tpm=6_000)
    for i in range(100):
        admission = await paces.admit("one", 1e9)
        assert admission is not None
        begun.append(clock.now)
        used.append(100.0 + i % 7 * 50)
        admission.settle(1, int(used[-1]))
    assert most_in_a_minute(begun, used) <= 6_000 + 100 + 400
    assert begun[-1] - begun[0] <= sum(used) / 100 + 5


async def test_nobody_knows_what_a_run_takes_until_the_first_is_over() -> None:
    clock = Clock()
    paces = pacing(clock, tpm=1_000)
    first = await paces.admit("one", 1e9)
    second = asyncio.create_task(paces.admit("one", 1e9))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    assert first is not None
    first.settle(1, 5_000)
    await second
    assert clock.now >= 1_000 + 5 * MINUTE_S - 2


async def test_a_run_that_would_begin_too_late_is_not_waited_for() -> None:
    clock = Clock()
    paces = pacing(clock, rpm=1)
    first = await paces.admit("one", 10)
    assert first is not None
    assert await paces.admit("one", 0.01) is None  # the first is still in flight
    first.settle(1, 0)
    assert await paces.admit("one", 30) is None
    assert await paces.admit("one", 61) is not None


async def test_a_model_without_a_pace_never_waits() -> None:
    paces = Pacing({}, clock=Clock())
    for _ in range(1_000):
        admission = await paces.admit("other", 0)
        assert admission is not None
        admission.settle(1, 10)


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 50)), max_size=50), st.floats(1, 10_000))
def test_a_bucket_gives_no_more_than_its_pace(turns: list[tuple[float, float]], per_minute: float) -> None:
    bucket, now, taken = Bucket(per_minute, 0.0), 0.0, 0.0
    capacity = max(1.0, per_minute / MINUTE_S)
    for waits, amount in turns:
        now += waits
        now += bucket.wait_s(amount, now)
        bucket.take(amount, now)
        taken += amount
        assert taken <= capacity + now * per_minute / MINUTE_S + amount + 1e-6


async def test_both_sides_and_the_next_measure_share_the_pace() -> None:
    clock = Clock()
    budget = Budget(100.0, 1e6)
    budget._pacing = pacing(clock, rpm=60)
    begun: list[float] = []

    def subject(release: str) -> FakeSubject:
        def answer(case: object, repeat: int) -> object:
            begun.append(clock.now)
            return "said"

        return FakeSubject(answer, release=release, model="one")

    limits = Bounds(1, 8, {"one": ModelPace(rpm=60, tpm=None)}, budget)
    await asyncio.gather(*(measure(subject(name), eval_cases(60), limits, MemoryTrials()) for name in "ab"))
    await measure(subject("c"), eval_cases(60), Bounds(1, 4, limits.pace, budget), MemoryTrials())
    assert len(begun) == 180
    assert most_in_a_minute(begun, [1.0] * 180) <= 61 + 1e-6
    assert begun[-1] - begun[0] >= 178 - 1e-6


async def test_a_cancelled_run_gives_its_place_in_the_pace_back() -> None:
    reached, held = asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> object:
        reached.set()
        await held.wait()
        return "said"

    budget = Budget(100.0, 10.0)
    limits = Bounds(1, 2, {"fake": ModelPace(rpm=6_000, tpm=None)}, budget)
    task = asyncio.create_task(measure(FakeSubject(hang), eval_cases(2), limits, MemoryTrials()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    measured = await asyncio.wait_for(measure(FakeSubject(), eval_cases(2), limits, MemoryTrials()), 5)
    assert measured.made == 2


async def test_time_that_is_too_short_for_the_pace_is_said() -> None:
    clock = Clock()
    budget = Budget(100.0, 2.0, clock=clock)
    budget._pacing = pacing(clock, rpm=10)
    limits = Bounds(1, 4, {"one": ModelPace(rpm=10, tpm=None)}, budget)
    subject = FakeSubject(lambda case, repeat: fake_trial(subject.key(case, repeat)), model="one")
    measured = await measure(subject, eval_cases(100), limits, MemoryTrials())
    assert 15 <= measured.made <= 21
    assert measured.stopped is not None
    assert measured.stopped.startswith("the budget of 2 minutes is")
    assert len(measured.problems) == 100 - measured.made
