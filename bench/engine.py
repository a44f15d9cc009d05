"""What the engine costs a run: CPU beside a bare call of the same instant provider, in the same minutes.

Policy, journal, validation and events are on, and every run is durable in the real spool before it is answered.
`all on` adds what an executor adds: limits at five levels, a breaker for each model and tool, six budgets on a real
database, metrics and alert rules.
"""

import asyncio
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from penstock.contracts.breaker import BreakerRules
from penstock.contracts.budget import BudgetRules
from penstock.contracts.operations_alerts import DEFAULT_ALERTS
from penstock.engine.alert_rules import RunRules
from penstock.engine.breakers.board import BreakerBoard
from penstock.engine.budgets.shared import SharedBudgets
from penstock.engine.call import RunCall, new_run_id, new_trace_id
from penstock.engine.controls import Controls
from penstock.engine.engine import Engine
from penstock.engine.observed_sink import ObservedSink
from penstock.engine.router import RuntimeRouter
from penstock.executor.telemetry.run_metrics import RunMetrics
from penstock.garbage import settle
from penstock.pal import ModelAnswer, ModelCall, ToolInvocation, ToolRequest, Usage
from penstock.store.budgets import BudgetStore
from penstock.store.database import open_database
from penstock.store.spool import Spool
from penstock.testing.example_release import example_declaration, example_release
from penstock.testing.limit_desk import limit_rules, local_desk

ROUNDS = 7
RUNS = 400
AT_ONCE = 64
LIMIT_US = 300
ASK = ModelAnswer(None, (ToolRequest("x", "weather", '{"town":"Bonn"}'),), Usage(200, 20, 0.001), "tool_calls")
SAY = ModelAnswer('{"degrees": 4}', (), Usage(240, 20, 0.001))
INPUT = {"question": "How warm is it in Bonn today? " * 8}
OUTPUT = {"type": "object", "properties": {"degrees": {"type": "number"}}, "required": ["degrees"]}
MODEL = {"price": {"inputUsdPer1M": 1, "outputUsdPer1M": 4}, "parameters": {"maxTokens": 100}}
CAPACITY = {"concurrency": 100, "ratePerMinute": 10_000_000, "queueDepth": 100}
PERIODS = {"day": {"softUsd": 5e5, "hardUsd": 1e6}, "month": {"softUsd": 5e5, "hardUsd": 1e6}}


class InstantProvider:
    """Answers without a wait: the tool call first if tools are offered, then JSON."""

    async def complete(self, call: ModelCall) -> ModelAnswer:
        """The answer."""
        return ASK if call.tools and call.messages[-1]["role"] == "user" else SAY


class InstantTools:
    """A tool that costs nothing."""

    async def run(self, tool: object, call: ToolInvocation) -> dict[str, float]:
        """The result."""
        return {"degrees": 4}


def one_call(tools: bool, runtime: str) -> RunCall:
    agent = {"input": {"schema": {"type": "object"}}, "output": {"schema": OUTPUT}}
    release, body = example_release(agent, tools={"weather": {}} if tools else {}, model=MODEL)
    return RunCall(release=release, prompt_body=body, runtime=runtime, input=INPUT, stage="prod", tenant="acme")


async def cpu_us(work: Callable[[], Awaitable[object]]) -> float:
    """CPU microseconds of the whole process a unit of work, the spool's thread included."""
    start = time.process_time()
    for _ in range(RUNS // AT_ONCE):
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return (time.process_time() - start) / (RUNS // AT_ONCE * AT_ONCE) * 1e6


def all_on(engine: Engine, folder: Path, stack: AsyncExitStack) -> Engine:
    """The engine with every control, and with those who watch."""
    database = open_database(f"sqlite:///{folder / 'store.db'}")
    spool = Spool(folder / "controlled")
    rules = BudgetRules.model_validate({"agent": PERIODS, "team": PERIODS, "tenant": PERIODS})
    budgets = SharedBudgets(rules, lambda: BudgetStore(database), spool, spool.executor, folder=spool.folder)
    desk = local_desk(limit_rules(**dict.fromkeys(("global", "team", "agent", "tenant"), CAPACITY)))
    controls = Controls(desk.admission, BreakerBoard(BreakerRules.model_validate({})), budgets)
    sink = ObservedSink(spool, [RunMetrics()])
    made = Engine(engine.runtimes, InstantProvider(), InstantTools(), sink, controls)
    made.alert_rules = RunRules(DEFAULT_ALERTS)
    stack.callback(database.close)
    stack.callback(spool.close)
    stack.push_async_callback(budgets.close)
    return made


async def measure(folder: Path, stack: AsyncExitStack) -> dict[str, list[float]]:
    provider = InstantProvider()
    spool = Spool(folder / "plain")
    stack.callback(spool.close)
    names = ["direct", *(["langgraph"] if importlib.util.find_spec("langgraph") else [])]
    router = RuntimeRouter({name: example_declaration(name, _package(name)) for name in names})
    plain = Engine(router, provider, InstantTools(), spool)

    def runs(engine: Engine, runtime: str, tools: bool) -> Callable[[], Awaitable[object]]:
        call = one_call(tools, runtime)
        return lambda: engine.start(replace(call, run_id=new_run_id(), trace_id=new_trace_id())).result()

    bare = ModelCall("models/fake@1.0.0", "fake/one", {}, None, [{"role": "user", "content": "hi"}])
    works: dict[str, Callable[[], Awaitable[object]]] = {
        "bare call of the provider (limit)": lambda: provider.complete(bare)
    }
    for name in names:
        for engine, how in ((plain, ""), (all_on(plain, folder / name, stack), ", all on")):
            works[f"{name}, one model call{how}"] = runs(engine, name, False)
            works[f"{name}, two model calls and a tool call{how}"] = runs(engine, name, True)
    for work in works.values():
        await work()
    settle()  # as a server does
    figures: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):  # in turn, so that a noisy minute meets all of them
        for name, work in works.items():
            figures[name].append(await cpu_us(work))
    return figures


async def measured(folder: Path) -> dict[str, list[float]]:
    async with AsyncExitStack() as stack:
        return await measure(folder, stack)


def _package(runtime: str) -> str:
    return "penstock" if runtime == "direct" else runtime


def main() -> None:
    """Prints CPU microseconds a run, the engine's own beside its figure."""
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measured(Path(folder)))
    bare = statistics.median(figures["bare call of the provider (limit)"])
    print(f"{'CPU a run, median of ' + str(ROUNDS) + ' rounds':52} {'us':>7} {'least':>7} {'own us':>7} {'runs/s':>7}")
    for name, values in figures.items():
        median = statistics.median(values)
        print(f"{name:52} {median:7.0f} {min(values):7.0f} {median - bare:7.0f} {1e6 / max(median, 1):7.0f}")
    for how in ("", ", all on"):
        own = statistics.median(figures[f"direct, one model call{how}"]) - bare
        print(f"engine's own, direct, one model call{how}: {own:.0f} us (figure: <= {LIMIT_US} us)")


if __name__ == "__main__":
    main()
