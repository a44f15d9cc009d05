"""The time by the one clock that all who write to the database share."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from penstock.store.clock import moment, now


def database_now(connection: Connection) -> str:
    """RFC 3339 in UTC with microseconds, by PostgreSQL's clock; SQLite's is this machine's."""
    if connection.dialect.name != "postgresql":
        return now()
    at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment(at.isoformat())
