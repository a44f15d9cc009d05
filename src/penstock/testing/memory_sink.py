"""MemorySink: keeps what a run would have written, in a list."""

from typing import Any

from penstock.errors import Unavailable


class MemorySink:
    """A sink for tests; `broken` makes it refuse as a full disk would."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.committed = 0
        self.broken = False

    def append(self, record: dict[str, Any]) -> None:
        """Keeps the record; raises `Unavailable` while the sink is broken."""
        self._require_whole()
        self.records.append(record)

    async def commit(self) -> None:
        """Marks everything so far as durable; raises `Unavailable` while the sink is broken."""
        self._require_whole()
        self.committed = len(self.records)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The records of one kind: event, payload, intent, run."""
        return [record for record in self.records if record["kind"] == kind]

    def events(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """The events, of one run if it is named."""
        events: list[dict[str, Any]] = [record["event"] for record in self.of("event")]
        return [event for event in events if run_id in (None, event["runId"])]

    def _require_whole(self) -> None:
        if self.broken:
            raise Unavailable("the sink is broken", where="memory", now="mend it")
