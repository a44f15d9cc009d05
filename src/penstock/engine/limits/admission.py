"""RunAdmission: the one choke point of all runs. It holds the limits of one process, exactly and in turn."""

import asyncio
from collections.abc import Callable
from time import monotonic

from penstock.contracts.capacity import CapacityRules
from penstock.engine.controls import Place, RunClaim
from penstock.engine.limits.book import WINDOW_S, LevelBook
from penstock.engine.limits.fair_queue import FairQueue, Queued, Waiter
from penstock.engine.limits.level import NEVER
from penstock.engine.limits.path import Block, Path
from penstock.engine.limits.refusal import no_place, queue_full
from penstock.engine.limits.view import LimitsView, levels_of
from penstock.errors import PenstockError

_TICK_S = 0.001  # a timer may ring that much before its time


class TakenPlace:
    """A run's place at all levels, had at `since` (`time.monotonic`).

    `is_alone` = other executors, who should know of it, do not.
    """

    __slots__ = ("_admission", "_path", "is_alone", "since")

    def __init__(self, admission: "RunAdmission", path: Path, since: float, *, is_alone: bool = False) -> None:
        self._admission: RunAdmission | None = admission
        self._path = path
        self.since = since
        self.is_alone = is_alone

    def leave(self) -> None:
        """Gives it back; said again it changes nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.left(self._path, self.since)


class RunAdmission:
    """Gives out places under `rules`; who finds none waits in turn, or is refused when as many wait as may.

    `runs_at_once` says what a runtime bears, None if that is not known. Seconds are those of `time.monotonic`; a rate
    counts over `window_s`. `holds_agents` False = an agent's own limits do not count. It belongs to one event loop.
    """

    def __init__(
        self,
        rules: CapacityRules,
        runs_at_once: Callable[[str], int | None],
        *,
        window_s: float = WINDOW_S,
        holds_agents: bool = True,
    ) -> None:
        self._book = LevelBook(rules, runs_at_once, window_s, holds_agents)
        self._lanes = (FairQueue(), FairQueue())
        self._due = NEVER
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, claim: RunClaim, queued: Queued) -> Place:
        """A place, at once or after a wait of at most `maxWaitMs`; a batch run waits as long as it takes.

        Raises `LimitReached` when the queue is full or the wait too long.
        """
        now = monotonic()
        path = self._book.path(claim)
        if now >= self._due:
            self._serve_all(now)
        block = path.blocked(now)
        if block is None:
            path.take(now)
            return self._place(path, now)
        waiter = Waiter(path, claim.is_batch, queued)
        self._require_room(waiter, block, now)
        self._join(waiter, block)
        return await self._awaited(waiter)

    def change(self, rules: CapacityRules) -> None:
        """Puts other rules in force for the next decision: a raise serves who waits, a lowering ends no run."""
        self._book.change(rules)
        self._serve_all(monotonic())

    async def close(self) -> None:
        """Ends what runs in the background."""
        if self._timer is not None:
            self._timer.cancel()

    async def view(self) -> LimitsView:
        """Every level in use: its limits, and what is at work, began and waits there."""
        return LimitsView("in process", None, levels_of(self._book.bounds(), monotonic() - self._book.window_s))

    def left(self, path: Path, since: float) -> None:
        """Takes a place back that was given out at `since`."""
        now = monotonic()
        path.leave(now - since)
        if self._lanes[0] or self._lanes[1]:
            self._serve_all(now)

    def _place(self, path: Path, now: float) -> TakenPlace:
        return TakenPlace(self, path, now)

    def _require_room(self, waiter: Waiter, block: Block, now: float) -> None:
        """Raises `LimitReached` if nobody may wait, or no more."""
        path = waiter.path
        if self._book.rules.max_wait_ms == 0:
            raise no_place(path, block, now, 0)
        full = path.full(waiter.lane)
        if full is not None:
            raise no_place(path, block, now, 0) if full.depth == 0 else queue_full(path, full, block, now)

    def _join(self, waiter: Waiter, block: Block) -> None:
        """Lets it wait, behind the others of its kind."""
        self._tell(waiter, block, block.bound.level.waiting[waiter.lane])
        self._lanes[waiter.lane].add(waiter)
        self._wake_at(block.due)

    def _tell(self, waiter: Waiter, block: Block, ahead: int) -> None:
        waiter.block = block
        if not waiter.is_told:
            waiter.is_told = True
            waiter.queued(str(block.bound.level), ahead)

    async def _awaited(self, waiter: Waiter) -> Place:
        """The waiter's place; who is cancelled leaves neither a turn nor a place behind."""
        if waiter.lane == 0:
            loop = asyncio.get_running_loop()
            waiter.timer = loop.call_later(self._book.rules.max_wait_ms / 1000, self._expire, waiter)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            future = waiter.future
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().leave()
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()
            self._give_up(waiter)

    def _give_up(self, waiter: Waiter) -> None:
        if waiter.is_queued:
            self._lanes[waiter.lane].remove(waiter)

    def _expire(self, waiter: Waiter) -> None:
        if not waiter.future.done():
            waiter.future.set_exception(self._too_long(waiter, monotonic()))

    def _too_long(self, waiter: Waiter, now: float) -> PenstockError:
        path = waiter.path
        block = path.blocked(now) or waiter.block
        assert block is not None, "who waits was kept from a place"
        return no_place(path, block, now, self._book.rules.max_wait_ms)

    def _serve_all(self, now: float) -> None:
        """Gives places to those who wait, batch runs after all others that can be served."""
        self._due = NEVER
        for lane in self._lanes:
            while self._may_serve() and (waiter := lane.next(now)) is not None:
                self._serve(waiter, now)
            self._wake_at(lane.soonest)

    def _may_serve(self) -> bool:
        return True

    def _serve(self, waiter: Waiter, now: float) -> None:
        """Gives the waiter, who has left the queue, the place that is free for it."""
        if not waiter.future.done():
            waiter.path.take(now)
            waiter.future.set_result(self._place(waiter.path, now))

    def _wake_at(self, due: float) -> None:
        """Serves again at `due`, unless that is to be done earlier anyway."""
        if due >= self._due:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(due - monotonic(), 0.0) + _TICK_S, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._serve_all(monotonic())
