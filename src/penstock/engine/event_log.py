"""EventLog: the facts of one run, numbered without gaps, to the sink and to whoever listens."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

import uuid_utils

from penstock.contracts.event import EVENT_SCHEMA, TERMINAL
from penstock.engine.call import RunCall
from penstock.engine.compiled import CompiledRelease
from penstock.engine.sink import Sink

Event = dict[str, Any]
_END = None


def now() -> str:
    """The time, RFC 3339 in UTC with microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Watch(Protocol):
    """Gives the data of each alert.raised that a run calls for (`engine.alert_rules.RunWatch`)."""

    def __call__(self, event: Event) -> Iterable[dict[str, Any]]:
        """Sees each event."""
        ...

    def first_token(self, at: str) -> Iterable[dict[str, Any]]:
        """Hears when the first text was streamed."""
        ...


class EventLog:
    """Emits a run's events. After a terminal event nothing is emitted any more."""

    def __init__(self, call: RunCall, compiled: CompiledRelease, sink: Sink, span_id: str) -> None:
        self.events: list[Event] = list(call.lease.past.events) if call.lease is not None and call.lease.past else []
        self.closed = False
        self.watch: Watch | None = None
        self._sink = sink
        self._form = _form(call, compiled, span_id)
        self._deltas = 0
        self._listeners: set[asyncio.Queue[Event | Exception | None]] = set()
        self._ended: Exception | bool = False

    def emit(
        self, type_: str, data: dict[str, Any], span_id: str | None = None, parent_span_id: str | None = None
    ) -> Event | None:
        """Appends one fact and tells the listeners, the terminal one apart (see `end`). None: the run is over."""
        if self.closed:
            return None
        event = self._event(type_, data, len(self.events) + 1, span_id, parent_span_id)
        self._sink.append({"kind": "event", "event": event})
        self.events.append(event)
        if type_ in TERMINAL:
            self.closed = True
        else:
            self._tell(event)
            if self.watch is not None:
                self._raise(self.watch(event))
        return event

    def delta(self, text: str) -> None:
        """Streams a piece of the model's text; it is never stored."""
        if self.closed or not text:
            return
        if self._listeners:
            data = {"after": len(self.events), "index": self._deltas, "text": text}
            self._tell(self._event("token.delta", data, None, None, None))
        self._deltas += 1
        if self._deltas == 1 and self.watch is not None:
            self._raise(self.watch.first_token(now()))

    def end(self, problem: Exception | None = None) -> None:
        """Hands the terminal event to the listeners, now that it is durable, or the problem that kept it from being."""
        self._ended = problem or True
        for listener in self._listeners:
            listener.put_nowait(problem or self.events[-1])
            listener.put_nowait(_END)

    def leave(self) -> None:
        """Ends the listeners without a terminal event: the run goes on in another attempt."""
        self.closed = self._ended = True
        for listener in self._listeners:
            listener.put_nowait(_END)

    @property
    def past(self) -> list[Event]:
        """The events so far; the terminal one only once it is durable."""
        return self.events if self._ended is True or not self.closed else self.events[:-1]

    def listen(self, after_seq: int, dropped: Callable[[], object] | None) -> AsyncGenerator[Event, None]:
        """The events after `after_seq`: the past ones, then each as it comes; `dropped` is called if left early."""
        queue: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        for event in self.past[after_seq:]:
            queue.put_nowait(event)
        if self._ended:
            if isinstance(self._ended, Exception):
                queue.put_nowait(self._ended)
            queue.put_nowait(_END)
        else:
            self._listeners.add(queue)
        return self._each(queue, dropped)

    async def _each(
        self, queue: asyncio.Queue[Event | Exception | None], dropped: Callable[[], object] | None
    ) -> AsyncGenerator[Event, None]:
        try:
            while (item := await queue.get()) is not _END:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self._listeners.discard(queue)
            if dropped is not None and not self._ended:
                dropped()

    def _raise(self, alerts: Iterable[dict[str, Any]]) -> None:
        for alert in alerts:
            self.emit("alert.raised", alert)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener.put_nowait(event)

    def _event(
        self, type_: str, data: dict[str, Any], seq: int | None, span_id: str | None, parent_span_id: str | None
    ) -> Event:
        event = self._form.copy()
        event["id"] = str(uuid_utils.uuid7())
        event["type"] = type_
        event["time"] = now()
        event["seq"] = seq
        event["data"] = data
        if span_id is not None:
            event["spanId"] = span_id
            event["parentSpanId"] = parent_span_id
        return event


def _form(call: RunCall, compiled: CompiledRelease, span_id: str) -> Event:
    """What all events of a run share; the rest is filled in for each."""
    return {
        "schema": EVENT_SCHEMA,
        "id": "",
        "type": "",
        "time": "",
        "seq": None,
        "attempt": call.lease.attempt if call.lease is not None else 1,
        "runId": call.run_id,
        "sessionId": call.session_id,
        "traceId": call.trace_id,
        "spanId": span_id,
        "parentSpanId": call.parent_span_id,
        "mainAgentId": compiled.name,
        "subAgentId": None,
        "agent": compiled.name,
        "version": compiled.version,
        "release": compiled.digest,
        "stage": call.effective_stage,
        "team": compiled.team,
        "tenant": call.tenant,
        "actor": call.user,
        "runtime": call.runtime,
        "mode": call.mode,
        "data": {},
    }
