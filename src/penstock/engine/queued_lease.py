"""QueuedLease: one attempt of a queued run, written straight into the database under the run's lease.

A spool would be on the disk of a machine that may be gone; whoever takes the run over reads the database.
"""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from penstock.engine.failure import Failure
from penstock.engine.lease import Awaited, Past
from penstock.engine.sink import NoSink, Sink
from penstock.errors import Unavailable
from penstock.pal import Message
from penstock.store.payload_objects import Claim
from penstock.store.queue import QueuedRun
from penstock.store.queue_lease import Delay, Held, LeaseStore
from penstock.store.runs import RunStore
from penstock.store.threads import in_database_thread

if TYPE_CHECKING:
    from penstock.engine.call import RunCall

TRANSIENT = ("model", "runtime")
"""Codes of failures that may pass; all others would fail the same way again."""
PASSING = ("limit", "unavailable")
"""Codes of refusals that say nothing about the run: there is no place now, or nobody can say whether there is one."""
BACKOFF_S = 2.0
LONGEST_BACKOFF_S = 60.0
TURNED_AWAY_S = 1.0


@dataclass
class QueuedLease:
    """Holds the attempt of `row` that was just leased (engine.lease.RunLease).

    `is_leaving` is set when this process ends: a run that is cancelled then goes on elsewhere, at once. `observed` is
    shown what was written: what a lease refused has not happened.
    """

    store: LeaseStore
    row: QueuedRun
    tries: int
    past: Past | None = None
    input_claim: Claim | None = None
    route: dict[str, Any] | None = None
    is_leaving: bool = False
    observed: Sink = field(default_factory=NoSink)
    _records: list[dict[str, Any]] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.row.attempt

    @property
    def accepted_at(self) -> str:
        """When the run was accepted."""
        return self.row.created_at

    @property
    def is_batch(self) -> bool:
        """Whether all others go first."""
        return self.row.kind == "batch"

    @property
    def held(self) -> Held:
        """The lease as the store knows it."""
        return Held(self.row.run_id, self.row.attempt, has_caller=self.row.kind == "sync")

    @property
    def is_awaited(self) -> bool:
        """Whether a caller waits for this very attempt."""
        return self.row.kind == "sync" and self.row.attempt == 1

    def begins(self, call: "RunCall") -> None:
        """Notes the release and the runtime, on which every later attempt goes on."""
        self.route = {
            "version": call.release.version,
            "release": call.release.digest,
            "runtime": call.runtime,
            "stage": call.stage,
            "routedBy": call.routed_by,
            "traceId": call.trace_id,
            "parentSpanId": call.parent_span_id,
        }

    def append(self, record: dict[str, Any]) -> None:
        """Takes a record in; nothing is written yet."""
        self._records.append(record)

    async def commit(self) -> None:
        """Writes what was appended, and with the run's summary its end; raises `LeaseLost` or `Unavailable`."""
        async with self._turn:
            records, self._records = self._records, []
            try:
                await in_database_thread(self._write, records)
            except Unavailable:
                self._records = records + self._records  # the next commit brings them, so that no event is missing
                raise
            self._show(records)

    async def postpone(self, failure: Failure, *, rejected: bool, awaits_review: Awaited | None) -> bool:
        """Decides whether the run is tried again or waits for a person, and writes it down then."""
        error = failure.as_document()
        async with self._turn:
            if awaits_review is not None:
                await in_database_thread(self.store.stop, self.held, self._records, {**error, "code": awaits_review})
                self._show(self._records)
                return True
            delay = self._delay(failure, error, rejected=rejected)
            if delay is None:
                return False
            records = [] if rejected else self._records  # of what was turned away nothing has happened
            await in_database_thread(self.store.postpone, self.held, records, delay, self.route)
            self._show(records)
            return True

    def _delay(self, failure: Failure, error: dict[str, Any], *, rejected: bool) -> Delay | None:
        if failure.code == "cancel":
            return Delay(0.0, counts=False, error=error) if self.is_leaving else None
        if self.is_awaited:
            return None  # its caller waits, and asks again or not
        if rejected:
            return Delay(TURNED_AWAY_S, counts=False, error=error) if failure.code in PASSING else None
        if failure.code in TRANSIENT and self.row.failures + 1 < self.tries:
            return Delay(backoff_s(self.row.failures), counts=True, error=error)
        return None

    def _show(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            self.observed.append(record)

    def _write(self, records: list[dict[str, Any]]) -> None:
        summary = next((record["run"] for record in records if record["kind"] == "run"), None)
        if summary is not None:
            self.store.end(self.held, records, summary["status"], summary["error"])
        else:
            self.store.write(self.held, records, self.route)


def read_past(runs: RunStore, row: QueuedRun) -> tuple[Past | None, tuple[Message, ...]]:
    """What earlier attempts of a queued run left, None if that is nothing, and the history that it began with."""
    events = runs.events(row.run_id)
    payloads = runs.payloads(row.run_id)
    said: list[Message] = next((payload.body for payload in payloads if payload.role == "messages"), [])
    history = tuple(said[1:-1])  # between the system message and the input
    if not events:
        return None, history
    journal = [payload.body for payload in payloads if payload.role == "journal"]
    past = Past.of(events, journal, runs.intents(row.run_id), runs.decisions(row.run_id), runs.found(row))
    return past, history


def backoff_s(failures: int) -> float:
    """How long a run waits after so many earlier failures, seconds."""
    return float(min(BACKOFF_S * 2**failures, LONGEST_BACKOFF_S))
