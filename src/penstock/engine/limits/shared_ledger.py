"""SharedLedger: what executors that share a Redis count together, asked in one round trip for all who ask at once."""

import asyncio
import contextlib
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.engine.limits.level import NO_LIMIT, Bound
from penstock.engine.limits.path import Path
from penstock.engine.limits.redis_link import RedisLink
from penstock.engine.limits.redis_scripts import CHANGE, ENTER, JOIN, LEAVE, LOOK

LOG = logging.getLogger("penstock.limits")
LEASE_S = 4.0
BEAT_S = 1.0
ANSWER_S = 0.25
TURN_S = 0.25
_TOGETHER = 128
_LANES = ("w", "b")

Answer = Sequence[int]


@dataclass(frozen=True, slots=True)
class _Order:
    """One script to be run; `answer` None = nobody waits for what it says."""

    script: str
    words: tuple[str | int, ...]
    answer: "asyncio.Future[Answer | None] | None"


class SharedLedger:
    """One executor's part of the shared counts, and the task that keeps it true.

    `prefix` names the counts of one project, asked in a thread when they are first needed. `problem` says why Redis
    cannot be asked; it is tried again until it answers, and `healed` is called then. An executor that is lost gives
    back all its places `LEASE_S` after its last sign of life. It renews its name after each failure, so that a command
    of before, still under way, changes nothing.
    """

    def __init__(self, url: str, prefix: Callable[[], str], window_s: float, healed: Callable[[], None]) -> None:
        self.problem: str | None = None
        self._link = RedisLink(url)
        self._prefix_of = prefix
        self._prefix = ""
        self._window = str(round(window_s * 1e6))
        self._healed = healed
        self._held: Counter[str] = Counter()
        self._orders: list[_Order] = []
        self._stir = asyncio.Event()
        self._me, self._before = "", ""
        self._is_joined, self._is_joining, self._is_closing = False, False, False
        self._task: asyncio.Task[None] | None = None

    def enter(
        self, path: Path, lane: int, *, may_take: bool, counted: bool, may_wait: bool
    ) -> "asyncio.Future[Answer | None]":
        """Asks for a place, or to be counted as waiting; None = Redis cannot be asked. See `redis_scripts.ENTER`."""
        words: list[str | int] = [int(may_take), int(counted), _LANES[lane], self._window, round(TURN_S * 1e6)]
        for bound in shared_bounds(path):
            depth = bound.depth if may_wait else 0
            keeps = int(bound.level.starts is not None)
            words += [bound.level.field, _limit(bound.concurrency), _limit(bound.rate), _limit(depth), keeps]
        return self._ask(ENTER, tuple(words))

    def hold(self, path: Path, *, running: int = 0, waiting: int = 0, lane: int = 0) -> None:
        """Notes what Redis counts already, or will once it can be asked."""
        for bound in shared_bounds(path):
            field = bound.level.field
            if running:
                self._held[field] += running
            if waiting:
                self._held[f"{_LANES[lane]}:{field}"] += waiting
        if self.problem is not None:
            self._correct(path, running, waiting, lane)

    def give_back(self, path: Path, *, running: int = 0, waiting: int = 0, lane: int = 0) -> None:
        """Takes places, or turns to wait, off the counts; nobody waits for that."""
        self.hold(path, running=-running, waiting=-waiting, lane=lane)
        if self.problem is None:
            self._put(_change(path, -running, -waiting, lane))

    def _correct(self, path: Path, running: int, waiting: int, lane: int) -> None:
        """Says afterwards what changed while Redis was told what this executor holds."""
        if self._is_joining:
            self._put(_change(path, running, waiting, lane))

    async def counts(self) -> dict[str, int] | None:
        """The counts of all executors together by field; None = Redis cannot be asked."""
        if self.problem is not None:
            return None
        answer = await self._ask(LOOK, ())
        if answer is None:
            return None
        words = iter(_text(word) for word in answer)
        return {field: int(count) for field, count in zip(words, words, strict=True)}

    async def close(self) -> None:
        """Gives back what this executor holds, and ends."""
        if self._task is None:
            return
        self._is_closing = True  # no cancel: the client's library swallows one now and then
        self._stir.set()
        await self._task
        if self._is_joined:
            with contextlib.suppress(Exception):
                await self._link.run([(LEAVE, self._words(()))], self._keys, ANSWER_S)
        await self._link.close()

    def _ask(self, script: str, words: tuple[str | int, ...]) -> "asyncio.Future[Answer | None]":
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._put(_Order(script, words, answer))
        return answer

    def _put(self, order: _Order) -> None:
        self._orders.append(order)
        self._stir.set()
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        batch: list[_Order] = []
        while not self._is_closing:
            try:
                if not self._is_joined:
                    await self._join()
                if not batch:
                    batch = await self._next_batch()
                batch = await self._run(batch)
            except Exception as error:
                await self._lost(error, batch)
                batch = []
                await asyncio.sleep(ANSWER_S)

    async def _next_batch(self) -> list[_Order]:
        """What was asked for since; a sign of life if that was nothing."""
        if not self._orders:
            self._stir.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._stir.wait()
        batch, self._orders = self._orders[:_TOGETHER], self._orders[_TOGETHER:]
        return batch or [_Order(CHANGE, (), None)]

    async def _run(self, batch: list[_Order]) -> list[_Order]:
        """Runs them; returns those to be run again since this executor was taken for dead."""
        scripts = [(order.script, self._words(order.words)) for order in batch]
        answers = await self._link.run(scripts, self._keys, ANSWER_S)
        again = []
        for order, answer in zip(batch, answers, strict=True):
            if list(answer) == [-1]:
                self._is_joined = False
                if order.answer is not None:
                    again.append(order)
            elif order.answer is not None and not order.answer.done():
                order.answer.set_result(answer)
        return again

    async def _join(self) -> None:
        """Makes this executor known under a new name, with what it holds."""
        if not self._prefix:
            self._prefix = await asyncio.to_thread(self._prefix_of)
        await asyncio.sleep(0)  # whoever was just answered notes it in `held`
        self._before, self._me = self._me, uuid.uuid4().hex
        self._orders = [order for order in self._orders if order.answer is not None]  # `held` has the others already
        held = [word for field, count in self._held.items() if count > 0 for word in (field, count)]
        self._is_joining = True
        try:
            await self._link.run([(JOIN, self._words((self._before, *held)))], self._keys, ANSWER_S)
        finally:
            self._is_joining = False
        self._is_joined = True
        if self.problem is not None:
            self.problem = None
            LOG.warning("the Redis that holds limits answers again")
            self._healed()

    async def _lost(self, error: Exception, batch: list[_Order]) -> None:
        self._is_joined = False
        if self.problem is None:
            LOG.error("the Redis that holds limits cannot be asked: %s", _why(error))
        self.problem = _why(error)
        orders, self._orders = [*batch, *self._orders], []
        for order in orders:
            if order.answer is not None and not order.answer.done():
                order.answer.set_result(None)
        await self._link.close()

    @property
    def _keys(self) -> tuple[str, ...]:
        return (f"{self._prefix}executors", f"{self._prefix}used")

    def _words(self, words: tuple[str | int, ...]) -> tuple[str | int, ...]:
        return (self._prefix, self._me, str(round(LEASE_S * 1e6)), *words)


def shared_bounds(path: Path) -> list[Bound]:
    """The bounds that executors hold together: all but the runtime's, which says what one process bears."""
    return [bound for bound in path.bounds if bound.level.kind != "runtime"]


def _change(path: Path, running: int, waiting: int, lane: int) -> _Order:
    words: list[str | int] = []
    for bound in shared_bounds(path):
        field = bound.level.field
        if running:
            words += [field, running]
        if waiting:
            words += [f"{_LANES[lane]}:{field}", waiting]
    return _Order(CHANGE, tuple(words), None)


def _limit(figure: int) -> int:
    return -1 if figure == NO_LIMIT else figure


def _text(word: object) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


def _why(error: Exception) -> str:
    return f"it gave no answer within {round(ANSWER_S * 1000)} ms" if isinstance(error, TimeoutError) else str(error)
