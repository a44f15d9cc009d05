"""Locks on one agent and stage, as objects of the release store: seen by everybody, and given up by no crash.

A lock is a row of numbered objects, each created exclusively: the highest number says who holds it. Taking, extending,
giving back and breaking it each add one. So two never hold it at once, the number is a fence (whoever finds a higher
one has lost it), and a holder that was killed holds it until `expires_at` only: a living one extends it by and by.
What is done under a lock still goes by swap: the lock saves double work, it is never what keeps a pointer right.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import orjson
from pydantic import Field, ValidationError

from penstock.contracts.document import Record
from penstock.errors import Conflict, NotFound, Unavailable
from penstock.release.clock import moment_of, now, stamp
from penstock.store.objects import ObjectStore

FOLDER = "locks/"
TTL_S = 120.0
"""After so many seconds a holder that was killed has lost it."""
ATTEMPTS = 5


class LockRecord(Record):
    """locks/<agent>/<stage>/<number>.json: who holds it from this number on, or that nobody does."""

    agent: str
    stage: str
    owner: str = Field(description="Whoever holds it: a program, its host and process.")
    since: str = Field(description="When it was taken.")
    expires_at: str = Field(description="From then on anyone may take it.")
    held: bool = Field(description="False: given back, or broken.")
    about: str = Field("", description="What it is held for.")
    reason: str = Field("", description="Of a broken one: why; else what its last holder noted.")

    @property
    def has_expired(self) -> bool:
        """Whether its holder is taken for dead."""
        ends = moment_of(self.expires_at)
        return ends is None or ends <= now()

    @property
    def is_free(self) -> bool:
        """Whether anyone may take it."""
        return not self.held or self.has_expired


@dataclass(slots=True)
class Lock:
    """A lock that this process holds, at number `number`; `before` is the record that it took the place of."""

    objects: ObjectStore
    record: LockRecord
    number: int
    ttl_s: float
    before: LockRecord | None = None
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def require(self) -> None:
        """Raises `Conflict` once somebody broke it or took it over: what was begun under it must stop."""
        with self._guard:
            number, record = _newest(self.objects, self.record.agent, self.record.stage)
            if number == self.number:
                return
        by = record.owner if record is not None else "nobody"
        raise Conflict(
            f"the lock on {self.record.agent} and {self.record.stage} was lost to {by}",
            where=f"{FOLDER}{self.record.agent}/{self.record.stage}",
            now="`agentctl gitlab locks` shows who holds it",
        )

    def extend(self) -> None:
        """Holds it for another `ttl_s` seconds; raises `Conflict` once it is lost."""
        with self._guard:
            renewed = self.record.model_copy(update={"expires_at": _after(self.ttl_s)})
            if not _create(self.objects, renewed, self.number + 1):
                self.require()
            self.record, self.number = renewed, self.number + 1

    def release(self) -> None:
        """Gives it back; one that was lost meanwhile stays with whoever has it."""
        with self._guard:
            _create(self.objects, self.record.model_copy(update={"held": False}), self.number + 1)

    def note(self, reason: str) -> None:
        """Puts a word on the record for whoever holds the lock next, as they find it in `before`."""
        with self._guard:
            self.record = self.record.model_copy(update={"reason": reason})


@contextmanager
def locked(
    objects: ObjectStore, agent: str, stage: str, owner: str, *, about: str = "", ttl_s: float = TTL_S
) -> Iterator[Lock]:
    """Holds the lock, extended while it is needed, and gives it back whatever happens.

    Raises `Conflict` when somebody else holds it.
    """
    lock = acquire(objects, agent, stage, owner, about=about, ttl_s=ttl_s)
    over = threading.Event()
    beat = threading.Thread(target=_extend, args=(lock, over), name=f"lock {agent} {stage}", daemon=True)
    beat.start()
    try:
        yield lock
    finally:
        over.set()
        beat.join()
        lock.release()


def _extend(lock: Lock, over: threading.Event) -> None:
    """Extends the lock until it is `over` or lost; a store that is away for a moment is asked again."""
    while not over.wait(lock.ttl_s / 3):
        try:
            with contextlib.suppress(Unavailable):
                lock.extend()
        except Conflict:
            return


def acquire(objects: ObjectStore, agent: str, stage: str, owner: str, *, about: str = "", ttl_s: float = TTL_S) -> Lock:
    """Takes the lock, or raises `Conflict` naming its holder. `ttl_s` seconds later it is anyone's."""
    for _ in range(ATTEMPTS):
        number, found = _newest(objects, agent, stage)
        if found is not None and not found.is_free:
            raise _held(found)
        record = LockRecord(
            agent=agent, stage=stage, owner=owner, since=stamp(now()), expires_at=_after(ttl_s), held=True, about=about
        )
        if _create(objects, record, number + 1):
            return Lock(objects, record, number + 1, ttl_s, found)
    raise Conflict(f"the lock on {agent} and {stage} changed hands {ATTEMPTS} times", now="try again in a moment")


def locks_held(objects: ObjectStore) -> list[LockRecord]:
    """Every lock that is held, expired ones too (their holders died); sorted by agent and stage."""
    newest: dict[str, str] = {}
    for name in objects.list(FOLDER):
        newest[name.rpartition("/")[0]] = name  # names sort by number
    found = [_read(objects, name) for name in newest.values()]
    return [one for one in found if one is not None and one.held]


def last_record(objects: ObjectStore, agent: str, stage: str) -> LockRecord | None:
    """The newest record of a lock, held or not; None if it was never taken."""
    return _newest(objects, agent, stage)[1]


def unlock(objects: ObjectStore, agent: str, stage: str, by: str, reason: str) -> LockRecord:
    """Breaks the lock; returns what it was. Its holder stops at its next step. Raises `NotFound` when none is held."""
    for _ in range(ATTEMPTS):
        number, found = _newest(objects, agent, stage)
        if found is None or not found.held:
            raise NotFound(f"no lock on {agent} and {stage} is held", now="`agentctl gitlab locks` lists them")
        broken = found.model_copy(update={"held": False, "owner": by, "reason": reason})
        if _create(objects, broken, number + 1):
            return found
    raise Conflict(f"the lock on {agent} and {stage} changed hands {ATTEMPTS} times", now="try again in a moment")


def _newest(objects: ObjectStore, agent: str, stage: str) -> tuple[int, LockRecord | None]:
    names = objects.list(f"{FOLDER}{agent}/{stage}/")
    if not names:
        return 0, None
    return int(names[-1].rpartition("/")[2].removesuffix(".json")), _read(objects, names[-1])


def _read(objects: ObjectStore, name: str) -> LockRecord | None:
    """A record; None for a damaged one, which holds nothing."""
    try:
        return LockRecord.model_validate(orjson.loads(objects.get(name) or b"{}"))
    except (ValidationError, orjson.JSONDecodeError):
        return None


def _create(objects: ObjectStore, record: LockRecord, number: int) -> bool:
    name = f"{FOLDER}{record.agent}/{record.stage}/{number:012d}.json"
    return objects.create(name, orjson.dumps(record.as_document()))


def _after(seconds: float) -> str:
    return stamp(now() + timedelta(seconds=seconds))


def _held(found: LockRecord) -> Conflict:
    about = f" for {found.about}" if found.about else ""
    return Conflict(
        f"{found.agent} and {found.stage} are locked by {found.owner} since {found.since}{about}",
        where=f"{FOLDER}{found.agent}/{found.stage}",
        now=f"wait until {found.expires_at}, or `agentctl gitlab unlock {found.agent} {found.stage} --reason TEXT`",
    )
