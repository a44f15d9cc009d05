import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.budget import BudgetRules
from penstock.engine.budgets.refusal import seconds_left
from penstock.engine.budgets.shared import SharedBudgets
from penstock.engine.controls import Controls
from penstock.engine.result import RunResult
from penstock.errors import BudgetSpent, Unavailable
from penstock.pal import CallRefused, ModelAnswer, ModelCall, ModelFailed, Usage
from penstock.store.budgets import AccountRow, BudgetStore
from penstock.store.database import Database, open_database
from penstock.store.money import nano_of, usd_of
from penstock.store.runs import RunStore
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_release
from penstock.testing.fake_provider import FakeProvider, Step, hangs, says
from penstock.testing.fake_tools import FakeTools

MODEL = {"price": {"inputUsdPer1M": 0.0, "outputUsdPer1M": 1.0}, "parameters": {"maxTokens": 1_000}}
MOST_USD = 0.001
DAY = "2026-11-29"


@dataclass
class World:
    """An engine whose budgets share one SQLite file; the clock stands until a test moves it."""

    rig: Rig
    budgets: SharedBudgets
    database: Database
    clock: list[datetime]
    away: list[Unavailable] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    async def run(self, model: Mapping[str, Any] | None = None, **fields: Any) -> RunResult:
        """A live run of one call."""
        release, body = example_release(fields.pop("agent", None), model={**MODEL, **(model or {})})
        return await self.rig.run(replace(self.rig.call(), release=release, prompt_body=body, **fields))

    def take_in(self) -> None:
        """What a spool's drain does."""
        RunStore(self.database).ingest([one for one in self.rig.sink.records if one["kind"] != "run"])

    def account(self, holder: str = "agent:clerk", period: str = DAY) -> AccountRow:
        """An account once everything is in the ledger."""
        self.take_in()
        found = [row for row in BudgetStore(self.database).rows([period]) if row.holder == holder]
        return found[0]

    def alerts(self) -> list[dict[str, Any]]:
        """What was told of soft limits."""
        return [event["data"] for event in self.rig.sink.events() if event["type"] == "budget.alerted"]


Make = Callable[..., World]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[World] = []

    def world(rules: Mapping[str, Any], *steps: Step, executor: str = "one") -> World:
        rig = Rig(DirectRuntime, "penstock", FakeProvider(*(steps or (cheap,))), FakeTools())
        database = made[0].database if made else open_database(f"sqlite:///{tmp_path / 'store.db'}")
        clock, away = [datetime(2026, 11, 29, 12, tzinfo=UTC)], list[Unavailable]()
        answers = threading.Event()
        answers.set()

        def store() -> BudgetStore:
            assert answers.wait(20)
            if away:
                raise away[0]
            return BudgetStore(database)

        parsed = BudgetRules.model_validate(rules)
        budgets = SharedBudgets(parsed, store, rig.sink, executor, now=lambda: clock[0])
        rig.engine.controls = Controls(budgets=budgets)
        made.append(World(rig, budgets, database, clock, away, answers))
        return made[-1]

    yield world
    for one in made:
        await one.budgets.close()
    if made:
        made[0].database.close()


def cheap(call: ModelCall) -> ModelAnswer:
    return says("ok", Usage(10, 100, 0.0001))


def dear(call: ModelCall) -> ModelAnswer:
    return says("ok", Usage(10, 1_000, MOST_USD))


def of_agent(**budget: float) -> dict[str, Any]:
    return {"agents": {"clerk": {"day": budget}}}


async def test_a_thousand_runs_at_once_never_spend_more_than_the_budget(make: Make) -> None:
    billed: list[int] = []

    async def answers(call: ModelCall) -> ModelAnswer:
        cost_usd = random.uniform(0, MOST_USD)
        billed.append(nano_of(cost_usd))
        await asyncio.sleep(random.uniform(0, 0.005))
        if random.random() < 0.1:
            raise ModelFailed("it broke")
        return says("ok", Usage(10, 10, cost_usd))

    hard_usd = 0.2
    worlds = [make(of_agent(hardUsd=hard_usd), answers, executor=f"executor-{number}") for number in range(2)]
    release, body = example_release(model=MODEL)
    calls = [replace(world.rig.call(), release=release, prompt_body=body) for world in worlds]
    runs = [(worlds[number % 2].rig, replace(calls[number % 2], run_id=f"run-{number}")) for number in range(1_000)]
    results = await asyncio.gather(*(rig.run(call) for rig, call in runs))
    ended = {(result.status, result.failure.code if result.failure else "") for result in results}
    assert ended <= {("finished", ""), ("failed", "model"), ("failed", "budget"), ("rejected", "budget")}
    assert {status for status, _ in ended} >= {"finished", "failed"}
    for world in worlds:
        await world.budgets.close()
        account = world.account()
    assert sum(billed) <= account.spent <= nano_of(hard_usd)
    assert account.held == 0
    assert account.spent > nano_of(hard_usd) * 0.9, "money is left that nobody could have"


async def test_calls_at_once_of_one_run_never_pass_its_limit(make: Make) -> None:
    """0.60 USD were spent of 0.45 where a limit was looked at only after the call."""
    world = make({"run": {"hardUsd": 0.0045}}, dear)
    meter_world = await asyncio.gather(*(world.run(agent={"limits": {"maxCostUsd": 0.0005}}) for _ in range(3)))
    for result in meter_world:
        assert (result.status, result.failure and result.failure.code) == ("failed", "limit")
        assert "limits.maxCostUsd of 0.0005 USD does not hold a call that may cost 0.001000 USD" in str(result.failure)
    assert world.rig.provider.calls == []
    result = await world.run({"parameters": {"maxTokens": 5_000}})
    assert (result.status, result.failure and result.failure.code) == ("failed", "budget")
    assert "the budget of a run of 0.0045 USD does not hold" in str(result.failure)


async def test_a_refusal_shows_sums_and_lines_and_no_other_tenants_runs(make: Make) -> None:
    world = make(of_agent(hardUsd=0.002), dear)
    first, second = await world.run(tenant="acme"), await world.run(tenant="other")
    world.take_in()
    refused = await world.run(tenant="acme")
    assert (refused.status, refused.failure and refused.failure.code) == ("rejected", "budget")
    assert isinstance(refused.refusal, BudgetSpent)
    assert refused.refusal.retry_after_s == 12 * 3600
    assert "the budget of agent:clerk for 2026-11-29 is used up: 0.002000 of 0.002000 USD spent" in refused.refusal.what
    ledger = (refused.error or {})["ledger"]
    assert ledger[0] == {
        "kind": "sum",
        "holder": "agent:clerk",
        "period": DAY,
        "limitUsd": 0.002,
        "heldUsd": 0.0,
        "lines": 2,
        "spentUsd": 0.002,
        "estimatedUsd": 0.0,
        "unpricedCalls": 0,
    }
    assert [line.get("runId") for line in ledger[1:]] == [first.run_id, None]
    assert [line["amountUsd"] for line in ledger[1:]] == [0.001, 0.001]
    assert second.run_id not in str(refused.error)
    assert world.rig.sink.events(refused.run_id)[-1]["data"]["error"]["ledger"] == ledger


@pytest.mark.parametrize("holder", ["agent:clerk", "team:example-team", "tenant:acme"])
@pytest.mark.parametrize("period", ["day", "month"])
@pytest.mark.parametrize("is_named", [True, False])
async def test_each_holder_and_period_refuses(make: Make, holder: str, period: str, is_named: bool) -> None:
    kind, _, name = holder.partition(":")
    budget = {period: {"hardUsd": 0.0015}}
    world = make({f"{kind}s": {name: budget}} if is_named else {kind: budget}, dear)
    assert (await world.run(tenant="acme")).status == "finished"
    refused = await world.run(tenant="acme")
    assert refused.refusal is not None or refused.failure is not None
    assert refused.failure is not None
    assert refused.failure.code == "budget"
    assert holder in refused.failure.what
    days = timedelta(days=1 if period == "day" else 2)
    world.clock[0] += days
    assert (await world.run(tenant="acme")).status == "finished"


async def test_only_live_runs_count(make: Make) -> None:
    world = make(of_agent(hardUsd=0.0), dear)
    assert (await world.run()).status == "rejected"
    assert (await world.run(mode="eval")).status == "finished"
    assert world.rig.sink.of("spending") == []


async def test_a_soft_limit_is_told_once_whoever_reaches_it(make: Make) -> None:
    rules = {**of_agent(softUsd=0.002, hardUsd=1.0), "run": {"softUsd": 0.0005}}
    worlds = [make(rules, dear, executor=f"executor-{number}") for number in range(2)]
    for number in range(8):
        await worlds[number % 2].run()
        worlds[number % 2].take_in()
    told = [alert for world in worlds for alert in world.alerts() if alert["scope"] == "agent"]
    assert [(one["holder"], one["period"], one["limitUsd"]) for one in told] == [("agent:clerk", DAY, 0.002)]
    assert told[0]["spentUsd"] == pytest.approx(0.002)
    runs = [alert for world in worlds for alert in world.alerts() if alert["scope"] == "run"]
    assert len(runs) == 8


async def test_what_is_not_known_counts_whole_and_what_was_refused_costs_nothing(make: Make) -> None:
    world = make(of_agent(hardUsd=1.0), ModelFailed("broke midway"), CallRefused("429"), hangs)
    assert [(await world.run()).status for _ in range(2)] == ["failed", "failed"]
    call = world.rig.call()
    release, body = example_release(model=MODEL)
    handle = world.rig.start(replace(call, release=release, prompt_body=body))
    world.rig.provider.asked.clear()
    await world.rig.provider.asked.wait()
    handle.cancel("no longer wanted")
    assert (await handle.result()).status == "cancelled"
    lines = world.rig.sink.of("spending")
    most = [line["nano"] for line in lines]
    assert [line["estimated"] for line in lines] == [True, True]
    assert most == [nano_of(MOST_USD)] * 2
    assert world.account().spent == sum(most)


async def test_a_price_that_is_not_known_is_refused_or_told_and_never_nothing(make: Make) -> None:
    unknown = {"price": None, "model": "nobody/knows-this"}
    refusing = make({})
    refused = await refusing.run(unknown)
    assert refused.failure is not None
    assert (refused.failure.code, refusing.rig.provider.calls) == ("budget", [])
    assert "the price of models/fake@1.0.0 is not known" in refused.failure.what
    allowing = make({"unpriced": "allow"}, lambda call: says("ok", Usage(10, 5, None)))
    for _ in range(2):
        result = await allowing.run(unknown)
        assert (result.status, result.usage.cost_usd) == ("finished", None)
    assert [(one["scope"], one["model"]) for one in allowing.alerts()] == [("unpriced", "models/fake@1.0.0")]
    allowing.take_in()
    sums = BudgetStore(allowing.database).ledger.sums("agent:clerk")
    assert (sums.lines, sums.spent, sums.unpriced) == (2, 0, 2)


async def test_without_the_database_money_in_hand_is_spent_and_then_declared_budgets_refuse(make: Make) -> None:
    world = make(of_agent(hardUsd=0.25), dear)
    assert (await world.run()).status == "finished"
    world.away.append(Unavailable("the database is away", where="there", now="wait"))
    for _ in range(4):  # a fiftieth of 0.25 USD was drawn
        assert (await world.run()).status == "finished"
    rejected = await world.run()
    assert (rejected.status, rejected.failure and rejected.failure.code) == ("rejected", "unavailable")
    assert "the budget of agent:clerk cannot be asked: the database is away" in str(rejected.failure)
    world.away.clear()
    assert (await world.run()).status == "finished"


async def test_without_the_database_a_default_budget_is_held_by_each_alone(make: Make) -> None:
    world = make({}, dear)
    world.away.append(Unavailable("the database is away"))
    assert [(await world.run()).status for _ in range(3)] == ["finished"] * 3
    world.away.clear()
    assert world.account().spent == 3 * nano_of(MOST_USD)


async def test_while_the_database_says_nothing_a_default_budget_is_held_alone(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.engine.budgets.bank.ANSWER_S", 0.1)
    world = make({}, dear)
    world.answers.clear()
    begun = time.monotonic()
    assert [(await world.run()).status for _ in range(4)] == ["finished"] * 4
    assert time.monotonic() - begun < 5  # only the first one waited
    assert in_hand(world) == 0
    world.answers.set()
    await until(lambda: in_hand(world) > 0)  # what was asked for comes late, and is this executor's
    assert (await world.run()).status == "finished"
    await world.budgets.close()
    assert (world.account().spent, in_hand(world)) == (5 * nano_of(MOST_USD), 0)


async def test_while_the_database_says_nothing_declared_budgets_refuse(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.engine.budgets.bank.ANSWER_S", 0.1)
    world = make(of_agent(hardUsd=0.25), dear)
    world.answers.clear()
    for _ in range(2):
        rejected = await world.run()
        assert (rejected.status, rejected.failure and rejected.failure.code) == ("rejected", "unavailable")
        assert "has not answered for 0.1 s" in str(rejected.failure)
    world.answers.set()
    await until(lambda: in_hand(world) > 0)
    assert (await world.run()).status == "finished"


def in_hand(world: World) -> int:
    """What executors hold of the day's accounts, as the database has it."""
    world.take_in()
    return sum(row.held for row in BudgetStore(world.database).rows([DAY]))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what a thread does is no event of this loop
            await asyncio.sleep(0.01)


async def test_a_call_waits_for_money_that_others_hold(make: Make) -> None:
    held = asyncio.Event()

    async def slow(call: ModelCall) -> ModelAnswer:
        await held.wait()
        return says("ok", Usage(1, 1, 0.0001))

    world = make(of_agent(hardUsd=0.0015), slow)
    first = asyncio.ensure_future(world.run())
    await world.rig.provider.asked.wait()
    second = asyncio.ensure_future(world.run())
    done, _ = await asyncio.wait([second], timeout=0.1)
    assert done == set()
    held.set()
    assert [(await run).status for run in (first, second)] == ["finished", "finished"]


async def test_changed_rules_hold_from_the_next_run_on(make: Make) -> None:
    world = make(of_agent(hardUsd=1.0), dear)
    assert (await world.run()).status == "finished"
    world.budgets.operate_by(BudgetRules.model_validate(of_agent(hardUsd=0.001)))
    assert (await world.run()).status in {"rejected", "failed"}
    world.budgets.operate_by(BudgetRules.model_validate({"agent": {}}))
    assert (await world.run()).status == "finished"


async def test_idle_money_goes_back(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.engine.budgets.shared.TICK_S", 0.01)
    monkeypatch.setattr("penstock.engine.budgets.shared.IDLE_S", 0.05)
    world = make(of_agent(hardUsd=1.0), dear)
    world.budgets.start()
    await world.run()
    async with asyncio.timeout(10):
        while world.account().held:  # no event tells: the database is asked
            await asyncio.to_thread(time.sleep, 0.01)
    assert world.account().spent == nano_of(MOST_USD)
    assert (await world.run()).status == "finished"


@pytest.mark.parametrize(
    ("period", "at", "seconds"),
    [
        ("2026-11-29", datetime(2026, 11, 29, 23, 59, tzinfo=UTC), 60.0),
        ("2026-11", datetime(2026, 11, 30, 23, tzinfo=UTC), 3600.0),
        ("2026-12", datetime(2026, 12, 31, 23, tzinfo=UTC), 3600.0),
    ],
)
def test_a_retry_helps_in_the_next_period(period: str, at: datetime, seconds: float) -> None:
    assert seconds_left(period, at) == seconds


def test_usd_and_billionths_are_one_number() -> None:
    assert usd_of(nano_of(12.345678901)) == 12.345678901
