"""Limits in one process: all levels at once, exact windows, turns, and no ghost in the queue."""

import asyncio
import random
from typing import Any

import pytest

from penstock.contracts.agent import Limits
from penstock.engine.controls import Place, RunClaim
from penstock.engine.limits.admission import TakenPlace
from penstock.engine.limits.path import Path
from penstock.engine.limits.view import LevelView
from penstock.errors import LimitReached
from penstock.testing.limit_desk import LimitDesk, limit_rules, local_desk, run_claim

ONE = {"concurrency": 1}


async def levels(desk: LimitDesk) -> dict[tuple[str, str], LevelView]:
    return {(level.level, level.name): level for level in (await desk.admission.view()).levels}


async def counts(desk: LimitDesk) -> tuple[int, int]:
    """Runs at work, and runs that wait, of the sum of all levels."""
    seen = (await levels(desk)).values()
    return sum(level.running for level in seen), sum(level.waiting + level.waiting_batch for level in seen)


async def refused(desk: LimitDesk, claim: RunClaim | None = None) -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        await desk.enter(claim)
    return caught.value


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_levels_are_taken_at_once_or_none() -> None:
    desk = local_desk(limit_rules(tenant={"concurrency": 1, "queueDepth": 0}))
    place = await desk.enter()
    await refused(desk)
    assert {level.running for level in (await levels(desk)).values()} == {1}
    place.leave()
    place.leave()
    assert await counts(desk) == (0, 0)


@pytest.mark.parametrize(
    ("declared", "claim", "level", "where"),
    [
        ({"global": {"concurrency": 1, "queueDepth": 0}}, run_claim(), "global", "spec.limits.global.concurrency"),
        ({"teams": {"shop": {**ONE, "queueDepth": 0}}}, run_claim(), "team shop", "spec.limits.teams.shop.concurrency"),
        ({"agent": {**ONE, "queueDepth": 0}}, run_claim(), "agent clerk", "spec.limits.agent.concurrency"),
        (
            {"agent": {"concurrency": 5}},
            run_claim(limits=Limits.model_validate({"concurrency": 1, "queueDepth": 0})),
            "agent clerk",
            "agents/clerk spec.limits.concurrency",
        ),
        (
            {"tenant": {**ONE, "queueDepth": 0}},
            run_claim(tenant=None),
            "tenant (none)",
            "spec.limits.tenant.concurrency",
        ),
    ],
)
async def test_a_refusal_names_whose_limit_which_one_and_where_it_stands(
    declared: dict[str, Any], claim: RunClaim, level: str, where: str
) -> None:
    desk = local_desk(limit_rules(**declared))
    await desk.enter(claim)
    refusal = await refused(desk, claim)
    assert refusal.facts == {"level": level, "limit": "concurrency", "retryAfterS": 1.0}
    assert refusal.where.endswith(where)
    assert "1 runs at once" in refusal.what


async def test_what_the_rules_say_holds_where_an_agent_asks_for_more() -> None:
    desk = local_desk(limit_rules(agents={"clerk": {**ONE, "queueDepth": 0}}))
    eager = run_claim(limits=Limits.model_validate({"concurrency": 9, "queueDepth": 9}))
    await desk.enter(eager)
    assert (await refused(desk, eager)).where.endswith("spec.limits.agents.clerk.concurrency")


async def test_versions_of_an_agent_share_its_level_each_under_its_own_limit() -> None:
    desk = local_desk(limit_rules(maxWaitMs=0))
    narrow, wide = (run_claim(limits=Limits.model_validate({"concurrency": figure})) for figure in (2, 3))
    for claim in (wide, narrow, wide):
        await desk.enter(claim)
    assert (await refused(desk, narrow)).level == "agent clerk"
    await refused(desk, wide)


@pytest.mark.parametrize("kind", ["global", "team", "agent", "tenant"])
async def test_no_window_ever_has_more_than_the_rate(kind: str) -> None:
    window_s, rate = 0.05, 7
    desk = local_desk(limit_rules(**{kind: {"ratePerMinute": rate}}), window_s=window_s)
    starts: list[float] = []

    async def run() -> None:
        place = await desk.enter()
        assert isinstance(place, TakenPlace)
        starts.append(place.since)
        await asyncio.sleep(random.uniform(0, 0.002))
        place.leave()

    await asyncio.gather(*(run() for _ in range(30)))
    assert len(starts) == 30
    for first, beyond in zip(starts, starts[rate:], strict=False):
        assert beyond - first >= window_s
    assert await counts(desk) == (0, 0)


async def test_a_rate_that_is_used_up_says_when_it_has_room() -> None:
    desk = local_desk(limit_rules(team={"ratePerMinute": 2}, maxWaitMs=0))
    for _ in range(2):
        (await desk.enter()).leave()
    refusal = await refused(desk)
    assert refusal.limit == "ratePerMinute"
    assert 59 < refusal.retry_after_s <= 60


async def test_a_full_queue_refuses_at_once_and_names_its_depth() -> None:
    desk = local_desk(limit_rules(team={**ONE, "queueDepth": 2}))
    place = await desk.enter()
    waiting = [await desk.start() for _ in range(2)]
    assert desk.queued == [("team shop", 0), ("team shop", 1)]
    refusal = await refused(desk)
    assert (refusal.level, refusal.limit) == ("team shop", "queueDepth")
    assert "2 runs waiting already" in refusal.what
    place.leave()
    (await waiting[0]).leave()
    (await waiting[1]).leave()
    assert await counts(desk) == (0, 0)


async def test_who_waits_too_long_is_refused_and_leaves_no_ghost() -> None:
    desk = local_desk(limit_rules(agent=ONE, maxWaitMs=20))
    place = await desk.enter()
    refusal = await refused(desk)
    assert "after 20 ms of waiting" in refusal.what
    assert await counts(desk) == (5, 0)
    place.leave()
    assert await counts(desk) == (0, 0)


async def test_who_waits_too_long_hears_what_kept_it_even_if_that_is_free_by_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = local_desk(limit_rules(agent=ONE, maxWaitMs=20))
    place = await desk.enter()
    waiting = await desk.start()
    monkeypatch.setattr(Path, "blocked", lambda _self, _now: None)
    with pytest.raises(LimitReached) as caught:
        await waiting
    assert "agent clerk has its 1 runs at once" in caught.value.what
    place.leave()


async def test_a_flood_of_one_team_delays_another_by_one_turn() -> None:
    desk = local_desk(limit_rules(**{"global": {"concurrency": 1, "queueDepth": 2_000}}))
    place = await desk.enter()
    flood = [await desk.start(run_claim(team="flood")) for _ in range(1_000)]
    one = await desk.start(run_claim("other", team="small"))
    place.leave()
    first = await flood[0]
    assert not one.done()
    first.leave()
    (await asyncio.wait_for(one, 5)).leave()
    for task in flood[1:]:
        (await task).leave()
    assert await counts(desk) == (0, 0)


@pytest.mark.parametrize("apart", ["agent", "tenant"])
async def test_within_a_team_agents_and_tenants_take_turns(apart: str) -> None:
    desk = local_desk(limit_rules(team=ONE))
    served: list[str] = []

    def claim(name: str) -> RunClaim:
        return run_claim(name) if apart == "agent" else run_claim(tenant=name)

    async def run(name: str) -> None:
        place = await desk.enter(claim(name))
        served.append(name)
        place.leave()

    place = await desk.enter(claim("x"))
    tasks = [asyncio.ensure_future(run(name)) for name in ("a", "a", "a", "b", "b", "c")]
    await settle()
    place.leave()
    await asyncio.gather(*tasks)
    assert served == ["a", "b", "c", "a", "b", "a"]


async def test_who_can_have_no_place_holds_up_nobody() -> None:
    desk = local_desk(limit_rules(team=ONE, **{"global": {"concurrency": 2}}))
    held = await desk.enter(run_claim(team="full"))
    blocked = [await desk.start(run_claim(team="full")) for _ in range(3)]
    (await desk.enter(run_claim("other", team="free"))).leave()
    assert not any(task.done() for task in blocked)
    held.leave()
    for task in blocked:
        (await task).leave()


async def test_a_batch_run_goes_when_no_other_can() -> None:
    desk = local_desk(limit_rules(team=ONE, maxWaitMs=5_000))
    place = await desk.enter()
    batch = [await desk.start(run_claim(is_batch=True)) for _ in range(2)]
    other = await desk.start()
    place.leave()
    held = await other
    assert not any(task.done() for task in batch)
    held.leave()
    (await batch[0]).leave()
    (await batch[1]).leave()


async def test_batch_runs_neither_fill_the_queue_of_others_nor_run_out_of_time() -> None:
    desk = local_desk(limit_rules(team={**ONE, "queueDepth": 1}, maxWaitMs=20))
    place = await desk.enter()
    batch = await desk.start(run_claim(is_batch=True))
    assert (await refused(desk)).limit == "concurrency"  # it could wait, and did so too long
    assert (await refused(desk, run_claim(is_batch=True))).limit == "queueDepth"
    place.leave()
    (await batch).leave()


async def test_a_cancelled_wait_is_given_up_at_once() -> None:
    desk = local_desk(limit_rules(agent=ONE))
    place = await desk.enter()
    waiting = [await desk.start() for _ in range(3)]
    waiting[0].cancel()
    place.leave()
    (await waiting[1]).leave()
    last = await waiting[2]
    assert waiting[0].cancelled()
    assert await counts(desk) == (5, 0)
    last.leave()
    assert await counts(desk) == (0, 0)


async def test_a_cancel_that_meets_the_grant_leaves_no_place_behind() -> None:
    desk = local_desk(limit_rules(agent=ONE))
    place = await desk.enter()
    waiting = await desk.start()
    place.leave()  # the grant is under way
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await counts(desk) == (0, 0)


async def test_a_raise_serves_who_waits_and_a_lowering_ends_nobody() -> None:
    desk = local_desk(limit_rules(team=ONE))
    held: list[Place] = [await desk.enter()]
    waiting = [await desk.start() for _ in range(2)]
    desk.admission.change(limit_rules(team={"concurrency": 3}))
    held += [await task for task in waiting]
    desk.admission.change(limit_rules(team={**ONE, "queueDepth": 0}))
    assert (await levels(desk))["team", "shop"].running == 3
    for place in held[:2]:
        place.leave()
    await refused(desk)
    held[2].leave()
    (await desk.enter()).leave()


async def test_a_new_rate_counts_from_its_first_decision() -> None:
    desk = local_desk(limit_rules(maxWaitMs=0))
    (await desk.enter()).leave()
    desk.admission.change(limit_rules(team={"ratePerMinute": 1}, maxWaitMs=0))
    (await desk.enter()).leave()
    refusal = await refused(desk)
    assert (refusal.level, refusal.limit) == ("team shop", "ratePerMinute")
    desk.admission.change(limit_rules(maxWaitMs=0))
    (await desk.enter()).leave()
    assert await counts(desk) == (0, 0)


async def test_invented_tenants_do_not_fill_the_memory() -> None:
    desk = local_desk(limit_rules(tenant={"concurrency": 3}))
    kept = await desk.enter(run_claim(tenant="kept"))
    for number in range(9_000):
        (await desk.enter(run_claim(tenant=f"t{number}"))).leave()
    seen = await levels(desk)
    assert len(seen) < 5_000
    assert seen["tenant", "kept"].running == 1
    kept.leave()


async def test_under_random_load_no_limit_is_broken_and_nothing_is_left() -> None:
    """Cancels, changes of rules and stays of all lengths, against a count that the test keeps itself."""
    picked = random.Random(5)
    figures = {"global": 6, "team": 3, "agent": 3, "tenant": 2}
    desk = local_desk(limit_rules(**{name: {"concurrency": figure} for name, figure in figures.items()}))
    at_work: dict[tuple[str, str], int] = {}
    highest: dict[str, int] = {}

    def count(keys: list[tuple[str, str]], by: int) -> None:
        for key in keys:
            at_work[key] = at_work.get(key, 0) + by
            highest[key[0]] = max(highest.get(key[0], 0), at_work[key])

    async def run() -> None:
        team, tenant = picked.choice("ab"), picked.choice("xyz")
        agent = f"{team}{picked.randrange(3)}"
        place = await desk.enter(run_claim(agent, team, tenant, is_batch=picked.random() < 0.2))
        keys = [("global", ""), ("team", team), ("agent", agent), ("tenant", tenant)]
        count(keys, 1)
        try:
            for _ in range(picked.randrange(4)):
                await asyncio.sleep(0)
        finally:
            count(keys, -1)
            place.leave()

    tasks = []
    for _ in range(3_000):
        tasks.append(asyncio.ensure_future(run()))
        if picked.random() < 0.3:
            picked.choice(tasks).cancel()
        if picked.random() < 0.5:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert highest == figures
    assert await counts(desk) == (0, 0)
