"""SharedAdmission: the choke point of executors that hold one set of limits together, over Redis."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic

from penstock.contracts.capacity import CapacityRules
from penstock.engine.controls import Place, RunClaim
from penstock.engine.limits.admission import RunAdmission, TakenPlace
from penstock.engine.limits.book import WINDOW_S
from penstock.engine.limits.fair_queue import Queued, Waiter
from penstock.engine.limits.level import NEVER, LimitKind
from penstock.engine.limits.path import Block, Path
from penstock.engine.limits.refusal import no_place, queue_full, state_gone
from penstock.engine.limits.shared_ledger import Answer, SharedLedger, shared_bounds
from penstock.engine.limits.view import LimitsView, with_shared
from penstock.errors import PenstockError

AGAIN_S = 0.025
_ASKING = 8
_GRANTED, _WAITS, _REFUSED = 1, 0, 2
_LIMITS: dict[int, LimitKind] = {1: "concurrency", 2: "ratePerMinute"}


class SharedAdmission(RunAdmission):
    """As `RunAdmission`, but a place is had only once Redis counted it; every run that enters is one round trip.

    Who waits stands in the queue of its own executor and asks again whenever a place came back here, else each
    `AGAIN_S`. While Redis is away the rules decide: `closed` refuses, `open` holds the limits in this process alone.
    """

    def __init__(
        self,
        rules: CapacityRules,
        runs_at_once: Callable[[str], int | None],
        url: str,
        prefix: Callable[[], str],
        *,
        window_s: float = WINDOW_S,
    ) -> None:
        super().__init__(rules, runs_at_once, window_s=window_s)
        self._ledger = SharedLedger(url, prefix, window_s, self._healed)
        self._asking = 0

    async def enter(self, claim: RunClaim, queued: Queued) -> Place:
        """As of `RunAdmission`; raises `Unavailable` too, when Redis cannot be asked and that is to be closed."""
        if self._ledger.problem is not None:
            return await self._enter_alone(claim, queued)
        waiter = Waiter(self._book.path(claim), claim.is_batch, queued)
        if not self._lanes[0] and not self._lanes[1]:
            waiter.path.open()
        self._ask(waiter, may_take=self._asking < _ASKING or not self._lanes[0])
        return await self._awaited(waiter)

    async def close(self) -> None:
        """Gives back what this executor holds."""
        await super().close()
        await self._ledger.close()

    async def view(self) -> LimitsView:
        """As of `RunAdmission`, with what all executors have together."""
        here = await super().view()
        counts = await self._ledger.counts()
        if counts is None:
            return replace(here, held="alone", problem=self._ledger.problem)
        return LimitsView("redis", None, with_shared(here.levels, counts))

    def left(self, path: Path, since: float) -> None:
        """Takes a place back, here and in Redis."""
        self._ledger.give_back(path, running=1)
        super().left(path, since)

    async def _enter_alone(self, claim: RunClaim, queued: Queued) -> Place:
        self._require_open()
        return await super().enter(claim, queued)

    def _require_open(self) -> None:
        if self._book.rules.when_shared_is_gone == "closed":
            raise state_gone(self._ledger.problem or "it gave no answer")

    def _healed(self) -> None:
        self._serve_all(monotonic())

    def _place(self, path: Path, now: float) -> TakenPlace:
        """A place that was had without Redis; it counts there as soon as it answers."""
        self._ledger.hold(path, running=1)
        return TakenPlace(self, path, now, is_alone=True)

    def _join(self, waiter: Waiter, block: Block) -> None:
        super()._join(waiter, block)
        self._share(waiter)

    def _share(self, waiter: Waiter) -> None:
        if not waiter.is_shared:
            waiter.is_shared = True
            self._ledger.hold(waiter.path, waiting=1, lane=waiter.lane)

    def _give_up(self, waiter: Waiter) -> None:
        super()._give_up(waiter)
        if waiter.is_shared and not waiter.is_asking:
            self._unshare(waiter)

    def _unshare(self, waiter: Waiter) -> None:
        waiter.is_shared = False
        self._ledger.give_back(waiter.path, waiting=1, lane=waiter.lane)

    def _too_long(self, waiter: Waiter, now: float) -> PenstockError:
        if self._ledger.problem is not None and self._book.rules.when_shared_is_gone == "closed":
            return state_gone(self._ledger.problem)
        if waiter.block is None and waiter.path.blocked(now) is None:
            return state_gone("no answer in the time that a run may wait")
        return super()._too_long(waiter, now)

    def _may_serve(self) -> bool:
        if self._ledger.problem is None:
            return self._asking < _ASKING
        return self._book.rules.when_shared_is_gone == "open"

    def _serve(self, waiter: Waiter, now: float) -> None:
        if waiter.future.done():
            return
        if self._ledger.problem is None:
            self._ask(waiter, may_take=True)
            return
        super()._serve(waiter, now)
        self._unshare(waiter)

    def _ask(self, waiter: Waiter, *, may_take: bool) -> None:
        """Asks Redis for a place; what it would take here is taken until the answer comes."""
        now, path = monotonic(), waiter.path
        took = may_take and path.blocked(now) is None
        if took:
            path.reserve(1)
            self._asking += 1
        waiter.is_asking = True
        answer = self._ledger.enter(
            path,
            waiter.lane,
            may_take=took,
            counted=waiter.is_shared,
            may_wait=self._book.rules.max_wait_ms > 0,
        )
        answer.add_done_callback(partial(self._answered, waiter, now if took else None))

    def _answered(self, waiter: Waiter, took_at: float | None, future: "asyncio.Future[Answer | None]") -> None:
        if future.cancelled():
            return
        answer, path = future.result(), waiter.path
        waiter.is_asking = False
        if took_at is not None:
            self._asking -= 1
        if answer is not None and answer[0] == _GRANTED:
            assert took_at is not None
            self._granted(waiter, took_at)
        else:
            if took_at is not None:
                path.reserve(-1)
            self._not_granted(waiter, answer)
        if self._lanes[0] or self._lanes[1]:
            self._serve_all(monotonic())

    def _granted(self, waiter: Waiter, took_at: float) -> None:
        path = waiter.path
        path.begin(monotonic())
        self._ledger.hold(path, running=1, waiting=-1 if waiter.is_shared else 0, lane=waiter.lane)
        waiter.is_shared = False
        place = TakenPlace(self, path, took_at)
        if waiter.future.done():
            place.leave()  # its run gave up meanwhile
        else:
            waiter.future.set_result(place)

    def _not_granted(self, waiter: Waiter, answer: Answer | None) -> None:
        now, path, was_waiting = monotonic(), waiter.path, waiter.is_shared
        if answer is None:
            self._decide_alone(waiter, now)
            return
        block = self._block(path, answer, now)
        if answer[0] == _REFUSED:
            full = shared_bounds(path)[answer[4] - 1]
            refusal = (
                queue_full(path, full, block, now)
                if full.depth and self._book.rules.max_wait_ms
                else no_place(path, block, now, 0)
            )
            _fail(waiter, refusal)
            return
        self._share(waiter)
        if waiter.future.done():
            self._unshare(waiter)
            return
        self._tell(waiter, block, answer[4])
        self._lanes[waiter.lane].add(waiter, in_front=was_waiting)
        self._wake_at(block.due)

    def _decide_alone(self, waiter: Waiter, now: float) -> None:
        """Redis went away while it was asked; who waited before goes on waiting."""
        if waiter.future.done():
            if waiter.is_shared:
                self._unshare(waiter)
            return
        path = waiter.path
        if waiter.is_shared:
            self._lanes[waiter.lane].add(waiter, in_front=True)
            return
        try:
            self._require_open()
            block = path.blocked(now)
            if block is None:
                path.take(now)
                waiter.future.set_result(self._place(path, now))
                return
            self._require_room(waiter, block, now)
        except PenstockError as refusal:
            _fail(waiter, refusal)
            return
        self._join(waiter, block)

    def _block(self, path: Path, answer: Answer, now: float) -> Block:
        """Why there was no place; the level counts as shut until it is worth while to ask again."""
        _, at, limit, due_us, *_ = answer
        if at == 0:
            return path.blocked(now) or Block(0, path.bounds[0], "concurrency", now + AGAIN_S)
        bound = shared_bounds(path)[at - 1]
        level = bound.level
        level.shut_by = _LIMITS[limit]
        level.shut_until = now + AGAIN_S
        due = now + due_us / 1e6 if due_us else level.shut_until
        return Block(path.bounds.index(bound), bound, level.shut_by, due if due_us else NEVER)


def _fail(waiter: Waiter, refusal: PenstockError) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(refusal)
