"""ObservedSink: passes a run's records on, and shows its events to whoever counts them: no second bookkeeping."""

from collections.abc import Sequence
from typing import Any, Protocol

from penstock.engine.sink import Sink


class Observer(Protocol):
    """Sees each event once the sink has taken it in."""

    def observe(self, event: dict[str, Any]) -> None:
        """Takes the event in; must neither wait, nor raise, nor change it. It may be called from any thread."""
        ...


class ObservedSink:
    """A sink in front of another one. What that one refuses, nobody sees."""

    def __init__(self, sink: Sink, observers: Sequence[Observer]) -> None:
        self._sink = sink
        self._observers = tuple(observers)

    def append(self, record: dict[str, Any]) -> None:
        """Passes the record on; raises `Unavailable` as the sink behind it does."""
        self._sink.append(record)
        if record["kind"] == "event":
            for observer in self._observers:
                observer.observe(record["event"])

    async def commit(self) -> None:
        """Returns once everything appended before is durable; raises `Unavailable` when it is not."""
        await self._sink.commit()
