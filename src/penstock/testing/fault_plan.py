"""Which faults meet a world in which order, and what must hold after them."""

import contextlib
import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from penstock.store.budget_ledger import BudgetLedger
from penstock.store.money import usd_of
from penstock.store.runs import RunStore
from penstock.testing.executor_world import wait_until
from penstock.testing.fault_world import A_DAY_USD, A_MINUTE, AT_ONCE, LEASE_S, Action, Fault, FaultWorld, Part
from penstock.testing.mixed_load import MixedLoad
from penstock.testing.promises import Promises
from penstock.testing.run_intervals import at_work, most_at_once, most_in_window

LONG_ENOUGH: Sequence[Action] = ("hang", "half-open")
"""Faults that say nothing: they must outlast a lease to be worth anything."""
MET: Mapping[Part, Sequence[Action]] = {
    "database": ("hang", "kill", "half-open", "reset", "refuse", "cut", "delay"),
    "executor": ("kill", "hang"),
    "drain": ("kill", "hang"),
    "redis": ("hang", "kill", "half-open", "reset", "refuse", "cut", "delay"),
    "model": ("half-open", "kill", "cut", "hang", "reset", "refuse", "delay"),
}
SETTLE_S = 30.0
CERTAIN_S = 58.0
"""Events are written a moment after a run was counted: what lies this close lies in one minute for certain."""
PAUSE_S = 0.04
MOST_RUNS = 100_000


def plan(seed: int, count: int) -> list[tuple[Fault, ...]]:
    """So many scenarios, the same for the same seed: every part in its turn, every other time two faults in a row."""
    dice = random.Random(seed)
    decks: dict[Part, list[Action]] = {part: dice.sample(actions, len(actions)) for part, actions in MET.items()}
    parts: list[Part] = ["database", "executor", "redis", "model", "drain"]

    def one(number: int) -> Fault:
        part = parts[number % len(parts)]
        action = decks[part].pop(0)
        decks[part].append(action)
        hold_s = LEASE_S + dice.uniform(0.2, 0.8) if action in LONG_ENOUGH else dice.uniform(0.3, 0.8)
        return Fault(part, action, round(hold_s, 2))

    drawn = iter(range(2 * count))
    return [tuple(one(next(drawn)) for _ in range(1 + number % 2)) for number in range(count)]


class Scenario:
    """Callers of every kind while faults meet a world; `problems` says what did not hold."""

    def __init__(self, world: FaultWorld, seed: int) -> None:
        self._world = world
        self._promises = Promises()
        self._since = datetime.now(UTC).isoformat()
        self._quick = MixedLoad(world.urls, ["quick"], self._promises, seed=seed)
        self._plain = self._load("plain", 1, {"sync": 1})
        self._loads = [
            self._quick,
            self._plain,
            self._load("paced", 1, {"sync": 3, "stream": 1}),
            self._load("spender", 2, {"sync": 2, "stream": 1, "async": 1}),
        ]
        self._quick.callers, self._quick.pause_s = 7, PAUSE_S

    def live_through(self, faults: Sequence[Fault]) -> None:
        """Returns once every part is whole and every run has ended; raises `AssertionError` if they do not."""
        with contextlib.ExitStack() as stack:
            for load in self._loads:
                stack.enter_context(load)
            self._answers()
            for fault in faults:
                # Without the database plain runs go on: it is away until one was answered.
                self._world.inflict(fault, self._plain_runs if fault.part == "database" else None)
            self._answers()
        opened = self._promises.open
        wait_until(
            lambda: not opened(self._world.database),
            what=f"every accepted run has ended: {opened(self._world.database)}",
            timeout_s=SETTLE_S,
        )

    def problems(self) -> Iterator[str]:
        """A sentence for each promise, limit and budget that was broken, and each traceback in a log."""
        yield from self._promises.faults(self._world.database)
        yield from self._over_limits()
        yield from self._over_budget()
        yield from self._world.errors()

    def _plain_runs(self) -> int:
        return self._plain.count("finished")

    def _load(self, agent: str, callers: int, kinds: dict[str, int]) -> MixedLoad:
        load = MixedLoad(self._world.urls, [agent], self._promises, seed=len(agent))
        load.callers, load.kinds, load.pause_s = callers, kinds, 2 * PAUSE_S
        return load

    def _answers(self) -> None:
        """Returns once each way of asking has an answer again."""
        wanted = {"finished": ("sync", "session", "keyed"), "accepted": ("async",)}
        before = {(word, kind): self._quick.count(word, kind) for word, kinds in wanted.items() for kind in kinds}
        for (word, kind), count in before.items():
            wait_until(
                lambda word=word, kind=kind, count=count: self._quick.count(word, kind) > count,  # type: ignore[misc]
                what=f"{kind} is {word} again: {dict(self._quick.counts)}",
                timeout_s=SETTLE_S,
            )

    def _over_limits(self) -> Iterator[str]:
        intervals = {agent: self._intervals(agent) for agent in ("quick", "paced")}
        at_once = most_at_once(intervals["quick"])
        if at_once > AT_ONCE:
            yield f"{at_once} runs were at work at once, {AT_ONCE} may be"
        edges = [0.0, *self._world.resets, time.time()]
        for begun, ended in itertools.pairwise(edges):  # Redis begins anew when it lost what it held
            starts = [start for start, _ in intervals["paced"] if begun <= start < ended]
            count = most_in_window(starts, CERTAIN_S)
            if count > A_MINUTE:
                yield f"{count} runs began in a minute, {A_MINUTE} may"

    def _intervals(self, agent: str) -> list[tuple[float, float]]:
        runs = RunStore(self._world.database)
        since = self._since if agent == "quick" else None
        found = runs.runs(agent=agent, since=since, limit=MOST_RUNS)
        return [interval for run in found for interval in at_work(runs.events(run["runId"]))]

    def _over_budget(self) -> Iterator[str]:
        runs = RunStore(self._world.database).runs(agent="spender", limit=MOST_RUNS)
        paid = sum((run["usage"] or {}).get("costUsd") or 0.0 for run in runs)
        counted = usd_of(BudgetLedger(self._world.database).sums("agent:spender").spent)
        for name, amount in (("runs say", paid), ("the ledger says", counted)):
            if amount > A_DAY_USD + 1e-9:
                yield f"{name} that {amount:.4f} USD were spent, {A_DAY_USD} may be"
        if paid > counted + 1e-9:
            yield f"runs say that {paid:.4f} USD were spent, and the ledger {counted:.4f}"
