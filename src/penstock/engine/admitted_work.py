"""AdmittedWork: a run waits for its place among all others before it does anything, and is refused if there is none."""

from collections.abc import Awaitable, Callable
from typing import Any

from penstock.engine.controls import Controls, RunClaim
from penstock.engine.failure import Failure, RunOver
from penstock.engine.run import Run, Work
from penstock.errors import BudgetSpent, LimitReached, Unavailable


class AdmittedWork:
    """What a run does once the controls let it. `begin` writes down that it started."""

    def __init__(self, run: Run, controls: Controls, work: Work, begin: Callable[[], Awaitable[None]]) -> None:
        self._run = run
        self._controls = controls
        self._work = work
        self._begin = begin

    async def __call__(self) -> Any:
        """The work's output; the run is rejected if a budget is spent, no place is had, or what decides is away."""
        run = self._run
        try:
            await self._enter(run.claim)
        except BudgetSpent as refusal:
            run.reject(Failure("budget", refusal.what, refusal.where, refusal.now, refusal.ledger), refusal)
            raise RunOver from None
        except LimitReached as refusal:
            run.reject(Failure("limit", refusal.what, refusal.where, refusal.now), refusal)
            raise RunOver from None
        except Unavailable as refusal:
            run.reject(Failure("unavailable", refusal.what, refusal.where, refusal.now), refusal)
            raise RunOver from None
        run.check(None)
        run.begin()
        await self._start()
        return await self._work()

    async def _start(self) -> None:
        """Writes down that the run started; it is rejected, and never starts, where that cannot be stored."""
        run = self._run
        try:
            await self._begin()
        except Unavailable as problem:
            run.unanswerable = problem
            failure = Failure("runtime", f"the input was not stored: {problem.what}", problem.where, problem.now)
            run.reject(failure, problem)
            raise RunOver from None

    async def _enter(self, claim: RunClaim) -> None:
        run = self._run
        if run.spends:
            run.meter.budget = await self._controls.budgets.admit(claim, run.alerted)
        run.place = await self._controls.admission.enter(claim, self._queued)

    def _queued(self, level: str, ahead: int) -> None:
        self._run.log.emit("run.queued", {"level": level, "ahead": ahead})
