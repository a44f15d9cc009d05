"""The clock of the database: machines whose own clocks differ agree on it."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from penstock.store.clock import moment, now


def shared_now(connection: Connection) -> str:
    """The time by the one clock that all who write to this database share; SQLite's is this machine's."""
    if connection.dialect.name != "postgresql":
        return now()
    at: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return moment(at.isoformat())


def before(at: str, seconds: float) -> str:
    """The moment so many seconds before `at`; after it where `seconds` is negative."""
    return moment((datetime.fromisoformat(at) - timedelta(seconds=seconds)).isoformat())
