"""Each declared limit refuses, whatever way a run comes: one that is declared and never asked would be seen here."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.engine.call import RunCall, new_run_id
from penstock.engine.controls import Controls
from penstock.engine.engine import RunHandle
from penstock.engine.limits.admission import RunAdmission
from penstock.errors import LimitReached
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_declaration
from penstock.testing.fake_provider import FakeProvider, hangs, says
from penstock.testing.fake_tools import FakeTools
from penstock.testing.limit_desk import limit_rules

LEVELS = {
    "global": "global",
    "team": "team example-team",
    "agent": "agent clerk",
    "agent's own": "agent clerk",
    "runtime": "runtime ",
    "tenant": "tenant acme",
}
KINDS = {
    "concurrency": {"concurrency": 1, "queueDepth": 0},
    "ratePerMinute": {"ratePerMinute": 1},
    "queueDepth": {"concurrency": 1, "queueDepth": 1},
}
WAYS: dict[str, dict[str, Any]] = {
    "live": {},
    "stream": {"stream": True},
    "dry": {"mode": "dry"},
    "batch": {"is_batch": True},
    "session": {"session_id": "s1"},
}
TABLE = [
    (level, kind, way)
    for level in LEVELS
    for kind in KINDS
    for way in WAYS
    if level != "runtime" or kind == "concurrency"
]


class Door:
    """An engine under one declared limit, and calls of one way in."""

    def __init__(self, level: str, kind: str, way: str) -> None:
        self.rig = Rig(DirectRuntime, "penstock", FakeProvider(hangs), FakeTools())
        capacity = KINDS[kind]
        self.own = capacity if level == "agent's own" else {}
        self.way = WAYS[way]
        router = self.rig.engine.runtimes
        if level == "runtime":
            router.declarations[self.rig.name] = example_declaration(self.rig.name, limits={"concurrentRuns": 1})
        declared = {level: capacity} if level in {"global", "team", "agent", "tenant"} else {}
        if level == "runtime":
            declared = {"team": {"queueDepth": 0}}  # a runtime has no queue of its own
        if kind == "ratePerMinute" and way == "batch":
            declared["team"] = {**declared.get("team", {}), "queueDepth": 0}  # it would wait for its minute
        rules = limit_rules(maxWaitMs=0 if kind == "ratePerMinute" else 60_000, **declared)
        self.rig.engine.controls = Controls(admission=RunAdmission(rules, router.runs_at_once))

    def call(self) -> RunCall:
        limits = {"timeoutMs": 60_000, **self.own}
        return self.rig.call({"limits": limits}, run_id=new_run_id(), tenant="acme", **self.way)

    def start(self) -> RunHandle:
        return self.rig.engine.start(self.call())


async def started(handle: RunHandle) -> None:
    async for event in handle.events():
        if event["type"] in {"run.queued", "run.started"}:
            return


@pytest.mark.parametrize(("level", "kind", "way"), TABLE)
async def test_each_limit_of_each_level_refuses_each_way_in(level: str, kind: str, way: str) -> None:
    door = Door(level, kind, way)
    first = door.start()
    await started(first)
    held = [first]
    if kind == "queueDepth":
        held.append(door.start())
        await started(held[-1])
        assert held[-1].past_events[-1]["type"] == "run.queued"
    result = await asyncio.wait_for(door.start().result(), 5)
    assert result.status == "rejected"
    assert isinstance(result.refusal, LimitReached)
    assert result.refusal.level.startswith(LEVELS[level]) or result.refusal.limit == "queueDepth"
    assert result.error is not None
    assert (result.error["code"], result.error["limit"]) == ("limit", kind)
    for handle in held:
        handle.cancel("enough")
        await handle.result()
    view = await door.rig.engine.controls.admission.view()  # type: ignore[attr-defined]
    assert [(seen.running, seen.waiting, seen.waiting_batch) for seen in view.levels] == [(0, 0, 0)] * len(view.levels)


async def test_a_run_that_waits_says_so_and_one_that_is_refused_is_on_record(rig: Callable[..., Rig]) -> None:
    one = rig(FakeProvider(hangs))
    rules = limit_rules(agent={"concurrency": 1, "queueDepth": 1})
    one.engine.controls = Controls(admission=RunAdmission(rules, one.engine.runtimes.runs_at_once))
    first = one.start()
    await started(first)
    second = one.start(one.call(run_id=new_run_id()))
    await started(second)
    third = one.start(one.call(run_id=new_run_id()))
    assert (await third.result()).status == "rejected"
    assert second.past_events[-1]["data"] == {"level": "agent clerk", "ahead": 0}
    error = third.past_events[-1]["data"]["error"]
    assert (error["level"], error["limit"], error["code"]) == ("agent clerk", "queueDepth", "limit")
    assert error["retryAfterS"] >= 1
    second.cancel("not needed")
    assert (await second.result()).status == "cancelled"
    first.cancel("enough")
    await first.result()


async def test_what_a_run_waited_does_not_count_as_its_time(rig: Callable[..., Rig]) -> None:
    asked = iter((hangs, lambda _: says("done")))
    one = rig(FakeProvider(lambda call: next(asked)(call)))
    rules = limit_rules(agent={"concurrency": 1})
    one.engine.controls = Controls(admission=RunAdmission(rules, one.engine.runtimes.runs_at_once))
    first = one.start()
    await started(first)
    agent = {"limits": {"timeoutMs": 500}}
    second = one.start(one.call(agent, run_id=new_run_id()))
    await started(second)
    await asyncio.sleep(0.55)  # longer than its time limit
    first.cancel("make room")
    assert (await second.result()).finished
