"""Erasure: a deletion request reaches every copy of a run's payloads, at once or at the next purge.

The request is a row first. Its `erased_at` says that the payload store and the archive hold nothing any more; whoever
puts something there after all renews the request in the transaction that makes it known, so that an erasure that is at
work does not close it.
"""

from typing import Any

from sqlalchemy import and_, select, update

from penstock.store import tables
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.objects import StoreMissing


def erase(database: Database, run_id: str) -> bool:
    """Clears payload store and archive of a run whose payloads were deleted; False where the stores are not named.

    Raises `Unavailable` when one of them fails: the request stays open.
    """
    if database.depots is None:
        return False
    columns = tables.payload_deletions.c
    with database.read() as connection:
        request = connection.execute(select(columns.at, columns.has_claims).where(columns.run_id == run_id)).one()
        is_anything_archived = connection.scalar(select(tables.archive_days.c.day).limit(1)) is not None
    try:
        payloads = database.depots.payloads
        payloads.delete(payloads.of_run(run_id))
    except StoreMissing:
        if request.has_claims:
            raise
    if is_anything_archived:
        database.depots.archive.erase(run_id)
    with database.write() as connection:
        this_one = and_(columns.run_id == run_id, columns.at == request.at)
        connection.execute(update(tables.payload_deletions).where(this_one).values(erased_at=now()))
    return True


def open_erasures(database: Database) -> list[str]:
    """The runs whose payloads were deleted, and may still stand in the payload store or in the archive."""
    columns: Any = tables.payload_deletions.c
    with database.read() as connection:
        return list(connection.scalars(select(columns.run_id).where(columns.erased_at.is_(None))))
