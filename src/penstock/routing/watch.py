"""TableWatch: follows the routing tables of a release store, and goes on with the last good one when it cannot."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from penstock.errors import Invalid, NotFound, PenstockError, Unavailable
from penstock.routing.acceptance import Accept, Acceptance
from penstock.routing.release_cache import ReleaseCache
from penstock.routing.table import RoutingTable
from penstock.routing.table_memory import TableMemory
from penstock.store.releases import ReleaseStore, table_name

log = logging.getLogger(__name__)
POLL_MS = 200
CHECK_S = 5.0
JOIN_S = 10.0
PATIENCE_S = 1.0  # with a release that is being loaded, before the watch looks on
START_PATIENCE_S = 10.0


class TableWatch:
    """Asks for the next generation every `poll_ms`; `current` is the newest table whose releases are all cached.

    It starts from `cache_dir`, so a store that is gone does not matter. A table that is torn, names what is missing,
    is of a lower generation or of another lineage leaves the last good one in force, and `problem` says why, logged
    once. Another lineage is taken only after `agentctl routes adopt`. `accept` has the last word on each release of a
    table: it raises what keeps the release from being served here (a tool that cannot be loaded).
    """

    def __init__(
        self, store: ReleaseStore, cache_dir: Path, poll_ms: int = POLL_MS, accept: Accept | None = None
    ) -> None:
        self.releases = ReleaseCache(cache_dir, store)
        self.problem: PenstockError | None = None
        self._store = store
        self._memory = TableMemory(cache_dir)
        self._poll_s = poll_ms / 1000
        self._acceptance = Acceptance(accept) if accept is not None else None
        self._patience_s = PATIENCE_S
        self._current: RoutingTable | None = None
        self._unjudged: tuple[RoutingTable, float | None] | None = None
        self._unkept: bytes | None = None
        self._confirmed_at: float | None = None
        self._checked_at = float("-inf")
        self._subscribers: list[Callable[[RoutingTable], None]] = []
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._from_memory()

    @property
    def current(self) -> RoutingTable | None:
        """The table in force here; None before the first."""
        return self._current

    @property
    def age_s(self) -> float | None:
        """Seconds since the store last said that this table is the newest; None if it never did, and none is cached."""
        return None if self._confirmed_at is None else max(0.0, time.time() - self._confirmed_at)

    def subscribe(self, callback: Callable[[RoutingTable], None]) -> None:
        """Calls back with each table that comes into force from now on, in the watch's thread; it must not raise."""
        self._subscribers.append(callback)

    def start(self) -> "TableWatch":
        """Looks once, then goes on in a thread; returns the watch. The first look waits for what is slow to load."""
        self._patience_s = START_PATIENCE_S
        self.look()
        self._patience_s = PATIENCE_S
        self._thread = threading.Thread(target=self._look_on, name="penstock-routes", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Ends the thread; `current` stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def wait_for(self, generation: int, timeout_s: float) -> bool:
        """Waits until that generation or a later one is in force; False when the time is over."""
        with self._news:
            return self._news.wait_for(
                lambda: self._current is not None and self._current.generation >= generation, timeout_s
            )

    def look(self) -> None:
        """One look at the store; never raises, what is wrong becomes `problem`."""
        try:
            problem = self._look()
        except PenstockError as error:
            problem = error
        except Exception as error:  # a thread that dies here would leave the executor blind for good
            problem = PenstockError(f"unexpected: {error!r}", where=self._store.url, now="report this as a bug")
        if problem is not None and str(problem) != str(self.problem):
            log.warning("routing stays as it is: %s", problem)
        elif problem is None and self.problem is not None:
            log.warning("routing follows the release store again")
        self.problem = problem

    def _look_on(self) -> None:
        while not self._stop.wait(self._poll_s):
            self.look()

    def _look(self) -> PenstockError | None:
        self._judge_memory()
        if self._current is None:
            return self._first_look()
        if time.monotonic() - self._checked_at >= CHECK_S or self.problem is not None:
            self._require_same_store(self._current)
        self._remember()
        problem = self._follow(self._current)
        if problem is None:
            self._confirmed_at = time.time()
        return problem

    def _first_look(self) -> PenstockError | None:
        """Without a table yet any lineage is taken: this is the store that was configured."""
        generations = self._store.generations()
        if not generations:
            return NotFound(
                "there is no routing table yet", where=self._store.url, now="`agentctl promote` makes the first"
            )
        if self._unjudged is None:
            return self._take_best(generations)
        waiting = self._unjudged[0]
        newer = [number for number in generations if number >= waiting.generation]
        return self._take_best(newer, waiting.lineage)

    def _require_same_store(self, current: RoutingTable) -> None:
        """Raises `Invalid` when the store is another one or went back behind what was in force here."""
        lineage = self._store.lineage()
        if lineage != current.lineage:
            if self._memory.adopted() != lineage:
                raise Invalid(
                    f"the release store is of lineage {lineage}, this executor follows {current.lineage}",
                    where=self._store.url,
                    now="check PENSTOCK_RELEASES_URL; `agentctl routes adopt` takes the new lineage",
                )
            self._adopt(lineage)
        elif self._store.table_bytes(current.generation) is None:
            highest = self._store.highest_generation()
            raise Invalid(
                f"the release store went back to generation {highest}, generation {current.generation} is in force",
                where=self._store.url,
                now="restore the newer tables; a store that starts anew needs a new lineage and `routes adopt`",
            )
        self._checked_at = time.monotonic()
        self._memory.touch()

    def _adopt(self, lineage: str) -> None:
        """Forgets the table of the lineage before, now that the new one has a table that can be served."""
        problem = self._take_best(self._store.generations(), lineage)
        if self._current is None or self._current.lineage != lineage:
            raise problem or NotFound(f"lineage {lineage} has no routing table yet", where=self._store.url)

    def _follow(self, current: RoutingTable) -> PenstockError | None:
        """Takes the generations after the one in force; lists the store only when one of them is incomplete."""
        found: list[int] = []
        generation = current.generation + 1
        while (data := self._store.table_bytes(generation)) is not None:
            found.append(generation)
            try:
                RoutingTable.from_bytes(data)
            except Invalid:
                found += [number for number in self._store.generations() if number > generation]
                break
            generation += 1
        return self._take_best(found) if found else None

    def _take_best(self, generations: list[int], lineage: str | None = None) -> PenstockError | None:
        """Puts the highest of these into force that is whole and can be served; what is wrong with higher ones."""
        problem: PenstockError | None = None
        wanted = lineage or (self._current.lineage if self._current is not None else None)
        for generation in sorted(set(generations), reverse=True):
            try:
                table, data = self._whole(generation, wanted)
            except Unavailable:
                raise
            except PenstockError as error:
                problem = problem or error
                continue
            refusal = self._refusal(table)
            if refusal is not None:
                problem = problem or refusal
                continue
            self._put_into_force(table)
            self._unkept = data
            self._remember()
            break
        return problem

    def _whole(self, generation: int, lineage: str | None) -> tuple[RoutingTable, bytes]:
        """The table of that generation with all it names in the cache; raises what keeps it from being served."""
        place = f"{self._store.url}/{table_name(generation)}"
        data = self._store.table_bytes(generation)
        if data is None:
            raise NotFound(f"generation {generation} is gone", where=place)
        table = RoutingTable.from_bytes(data, where=place)
        if table.generation != generation or (lineage is not None and table.lineage != lineage):
            raise Invalid(
                f"the table says generation {table.generation} of lineage {table.lineage}",
                where=place,
                now=f"it must be generation {generation} of lineage {lineage or 'any'}; restore it from a copy",
            )
        for digest in sorted(table.releases):
            try:
                self.releases.fetch(digest)
            except Unavailable:
                raise
            except PenstockError as error:
                raise _unserved(generation, error) from None
        return table, data

    def _refusal(self, table: RoutingTable) -> PenstockError | None:
        """What stands against a whole table here; raises `Unavailable` while that is not known yet."""
        if self._acceptance is None:
            return None
        for digest in sorted(table.releases):
            refusal = self._acceptance.refusal(self.releases.release(digest), self._patience_s)
            if refusal is not None:
                return _unserved(table.generation, refusal)
        return None

    def _remember(self) -> None:
        """Keeps the table for a start without the store; a full disk is named, and stops no rollback."""
        if self._unkept is not None:
            self._memory.keep(self._unkept)
            self._unkept = None

    def _from_memory(self) -> None:
        remembered = self._memory.last()
        if remembered is None:
            return
        table, confirmed_at = remembered
        try:
            for digest in sorted(table.releases):
                self.releases.fetch(digest)
        except PenstockError as problem:
            log.warning("the cached routing table cannot be served: %s", problem)
            return
        self._unjudged = table, confirmed_at
        if self._acceptance is None:
            self._judge_memory()

    def _judge_memory(self) -> None:
        """Serves the cached table once all it names is accepted; while that takes its time, the next look asks again.

        A table that cannot be served by this program any more is forgotten.
        """
        if self._unjudged is None:
            return
        try:
            problem = self._refusal(self._unjudged[0])
        except Unavailable:
            return
        if problem is None:
            self._current, self._confirmed_at = self._unjudged
        else:
            log.warning("the cached routing table cannot be served: %s", problem)
        self._unjudged = None

    def _put_into_force(self, table: RoutingTable) -> None:
        with self._news:
            self._current, self._confirmed_at, self._unjudged = table, time.time(), None
            self._checked_at = time.monotonic()
            self._news.notify_all()
        for callback in self._subscribers:
            callback(table)


def _unserved(generation: int, error: PenstockError) -> PenstockError:
    return type(error)(f"generation {generation} cannot be served: {error.what}", where=error.where, now=error.now)
