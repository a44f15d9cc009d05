"""What tests of limits share: rules, runs that ask for a place, and a process that asks for many.

    python -m penstock.testing.limit_desk URL PREFIX RULES WINDOW_S SECONDS TASKS HOLD_S

runs so many tasks that take a place, hold it for at most HOLD_S and ask again; it prints [[asked, got, left], ...] in
seconds of the machine's clock, those of places that were had without the others as [asked, got, left, 1].
"""

import asyncio
import json
import random
import sys
import time
from typing import Any

from penstock.contracts.agent import Limits
from penstock.contracts.capacity import CapacityRules
from penstock.engine.controls import Place, RunClaim
from penstock.engine.limits.admission import RunAdmission
from penstock.engine.limits.shared_admission import SharedAdmission
from penstock.errors import PenstockError

UNLIMITED = Limits.model_validate({})
_NO_GLOBAL = {"concurrency": None, "ratePerMinute": None, "queueDepth": None}


def limit_rules(**declared: Any) -> CapacityRules:
    """Rules without a limit for all runs, but for what is declared."""
    return CapacityRules.model_validate({"global": _NO_GLOBAL, **declared})


def run_claim(
    agent: str = "clerk",
    team: str = "shop",
    tenant: str | None = "acme",
    *,
    limits: Limits = UNLIMITED,
    is_batch: bool = False,
) -> RunClaim:
    """A run that asks for a place."""
    return RunClaim("run", agent, team, tenant, "direct", limits, is_batch)


class LimitDesk:
    """An admission, with short ways to ask it and a record of who had to wait: (level, how many were ahead)."""

    def __init__(self, admission: RunAdmission) -> None:
        self.admission = admission
        self.queued: list[tuple[str, int]] = []
        self._stir = asyncio.Event()

    async def enter(self, claim: RunClaim | None = None) -> Place:
        """A place for a run."""
        return await self.admission.enter(claim or run_claim(), self._told)

    async def start(self, claim: RunClaim | None = None) -> "asyncio.Task[Place]":
        """A run that waits, once it does."""
        task = asyncio.ensure_future(self.enter(claim))
        self._stir.clear()
        task.add_done_callback(lambda _: self._stir.set())
        await self._stir.wait()
        return task

    def _told(self, level: str, ahead: int) -> None:
        self.queued.append((level, ahead))
        self._stir.set()


def local_desk(rules: CapacityRules, *, runs_at_once: int = 100_000, window_s: float = 60.0) -> LimitDesk:
    """The limits of one process."""
    return LimitDesk(RunAdmission(rules, lambda _: runs_at_once, window_s=window_s))


def shared_desk(rules: CapacityRules, url: str, prefix: str, *, window_s: float = 60.0) -> LimitDesk:
    """The limits of one of several executors."""
    return LimitDesk(SharedAdmission(rules, lambda _: 100_000, url, lambda: prefix, window_s=window_s))


async def _ask_for(desk: LimitDesk, until: float, hold_s: float, seen: list[list[float]]) -> None:
    while (asked := time.time()) < until:
        try:
            place = await desk.enter()
        except PenstockError:
            await asyncio.sleep(0.02)
            continue
        got = time.time()
        await asyncio.sleep(random.uniform(hold_s / 2, hold_s))
        seen.append([asked, got, time.time(), *([1.0] if place.is_alone else [])])
        place.leave()


async def _main(url: str, prefix: str, rules: str, figures: tuple[float, float, int, float]) -> None:
    window_s, seconds, tasks, hold_s = figures
    desk = shared_desk(CapacityRules.model_validate_json(rules), url, prefix, window_s=window_s)
    seen: list[list[float]] = []
    until = time.time() + seconds
    await asyncio.gather(*(_ask_for(desk, until, hold_s, seen) for _ in range(tasks)))
    await desk.admission.close()
    print(json.dumps(seen))  # noqa: T201


if __name__ == "__main__":
    url, prefix, rules, *figures = sys.argv[1:]
    asyncio.run(_main(url, prefix, rules, (float(figures[0]), float(figures[1]), int(figures[2]), float(figures[3]))))
