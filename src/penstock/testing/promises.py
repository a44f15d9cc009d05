"""What executors promised the callers of a test, held against what the database says in the end."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.store.database import Database
from penstock.store.queue import RunQueue
from penstock.store.runs import FINAL, RunStore


@dataclass(frozen=True, slots=True)
class Promise:
    """What a caller knows of a run: how it ended, None as long as it was only accepted; its output, if it has one."""

    run_id: str
    kind: str
    status: str | None
    output: Any


class Promises:
    """The promises of one load, from any thread. `broken` holds a sentence for each answer that took back another."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self._lock = threading.Lock()
        self._known: dict[str, Promise] = {}

    def accepted(self, run_id: str, kind: str) -> None:
        """A run was accepted: it is stored, and ends one day."""
        with self._lock:
            self._known.setdefault(run_id, Promise(run_id, kind, None, None))

    def told(self, run_id: str, kind: str, status: str, output: Any) -> None:
        """An executor said how a run stands; an end that was told before must be this one."""
        if status not in FINAL:
            return
        with self._lock:
            before = self._known.get(run_id)
            if before is None or before.status is None:
                self._known[run_id] = Promise(run_id, before.kind if before else kind, status, output)
            elif (before.status, before.output) != (status, output):
                self.broken.append(f"{before} was told again as {status} with {output!r}")

    def all(self) -> list[Promise]:
        """Every run that a caller heard of."""
        with self._lock:
            return list(self._known.values())

    def open(self, database: Database) -> list[str]:
        """Runs that have no end in the database yet; one in review waits for a person, and counts as ended."""
        runs, queue = RunStore(database), RunQueue(database)
        return [promise.run_id for promise in self.all() if not _is_over(runs, queue, promise.run_id)]

    def faults(self, database: Database) -> Iterator[str]:
        """A sentence for each promise that was not kept, once none is open any more."""
        yield from self.broken
        runs, queue = RunStore(database), RunQueue(database)
        for promise in self.all():
            stored = runs.run(promise.run_id)
            if stored is None:
                if not _is_over(runs, queue, promise.run_id):
                    yield f"{promise} is lost"
                continue
            outputs = [payload.body for payload in runs.payloads(promise.run_id, ("output",))]
            output = outputs[0] if outputs else None
            if promise.status is not None and (promise.status, promise.output) != (stored["status"], output):
                yield f"{promise} is stored as {stored['status']} with {output!r}"


def _is_over(runs: RunStore, queue: RunQueue, run_id: str) -> bool:
    stored = runs.run(run_id)
    if stored is not None:
        return stored["status"] in FINAL
    row = queue.get(run_id)
    return row is not None and row.status not in ("queued", "running")
