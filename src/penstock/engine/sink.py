"""Where the facts and payloads of runs go: the spool in an executor, nowhere in a dry run."""

from typing import Any, Protocol


class Sink(Protocol):
    """An append-only store with a durability point (`store.spool.Spool`)."""

    def append(self, record: dict[str, Any]) -> None:
        """Takes a record in without waiting; raises `Unavailable` when it cannot."""
        ...

    async def commit(self) -> None:
        """Returns once everything appended before is durable; raises `Unavailable` when it is not."""
        ...


class NoSink:
    """Takes everything and keeps nothing: a dry run writes nothing."""

    def append(self, record: dict[str, Any]) -> None:
        """Forgets the record."""

    async def commit(self) -> None:
        """Returns at once."""
