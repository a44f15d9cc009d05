"""Duties: work that one process of many does once it is due. A row says when that is, and who is at it."""

from sqlalchemy import and_, update

from penstock.store import tables
from penstock.store.database import Database
from penstock.store.shared_clock import before, shared_now


class Duty:
    """One duty as one process sees it; `holder` names the process. Raises `Unavailable` when the database fails.

    A process that stops in the middle is followed by another once its time is up: the work must bear that.
    """

    def __init__(self, database: Database, name: str, holder: str) -> None:
        self._database = database
        self._name = name
        self._holder = holder

    def take(self, lease_s: float, first_after_s: float) -> bool:
        """Whether it is due and this process does it, for `lease_s` seconds unless it renews.

        A duty that nobody has heard of is due in `first_after_s` seconds.
        """
        columns, insert = tables.duties.c, self._database.insert(tables.duties)
        with self._database.write() as connection:
            at = shared_now(connection)
            first = {"name": self._name, "holder": None, "due": before(at, -first_after_s)}
            connection.execute(insert.on_conflict_do_nothing(), first)
            free = and_(columns.name == self._name, columns.due <= at)
            taken = update(tables.duties).where(free).values(holder=self._holder, due=before(at, -lease_s))
            return connection.execute(taken).rowcount == 1

    def renew(self, lease_s: float) -> bool:
        """Goes on for so many seconds more; False if another took over meanwhile."""
        return self._set(self._holder, lease_s)

    def leave(self, due_in_s: float) -> None:
        """Ends the turn; it is due again in so many seconds."""
        self._set(None, due_in_s)

    def _set(self, holder: str | None, seconds: float) -> bool:
        mine = and_(tables.duties.c.name == self._name, tables.duties.c.holder == self._holder)
        with self._database.write() as connection:
            due = before(shared_now(connection), -seconds)
            change = update(tables.duties).where(mine).values(holder=holder, due=due)
            return connection.execute(change).rowcount == 1
