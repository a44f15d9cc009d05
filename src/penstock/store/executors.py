"""Executors: what each process that serves last said of itself."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, select

from penstock.store import tables
from penstock.store.clock import seconds_between
from penstock.store.database import Database
from penstock.store.shared_clock import before, shared_now

FORGOTTEN_S = 86_400.0
"""An executor that said nothing for so long is no longer named."""
LONGEST = 500


@dataclass(frozen=True, slots=True)
class Beat:
    """What one executor says of itself; `id` is of the process, new with each start.

    `generation` and `lineage` are of the table in force in it, None before the first. `table_age_s` is how long ago
    the release store last confirmed that table, None if it never did. `problem` is why it cannot follow the store.
    """

    id: str
    url: str
    host: str
    pid: int
    version: str
    lineage: str | None = None
    generation: int | None = None
    table_age_s: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """A beat, and how many seconds ago it was heard."""

    beat: Beat
    ago_s: float


class ExecutorStore:
    """Reads and writes beats. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, beat: Beat) -> None:
        """Takes the place of what that executor said before."""
        values = _row(beat)
        changes = {name: value for name, value in values.items() if name != "id"}
        insert: Any = self._database.insert(tables.executors)
        with self._database.write() as connection:
            at = {"at": shared_now(connection)}
            connection.execute(
                insert.on_conflict_do_update(index_elements=["id"], set_={**changes, **at}), {**values, **at}
            )

    def enter(self, beat: Beat) -> None:
        """The first word of an executor: who had its address before is over, who was long silent is forgotten."""
        columns = tables.executors.c
        same = (columns.host == beat.host) & (columns.url == beat.url) & (columns.id != beat.id)
        with self._database.write() as connection:
            oldest = before(shared_now(connection), FORGOTTEN_S)
            connection.execute(delete(tables.executors).where(same | (columns.at < oldest)))
        self.put(beat)

    def remove(self, identity: str) -> None:
        """The executor has ended."""
        with self._database.write() as connection:
            connection.execute(delete(tables.executors).where(tables.executors.c.id == identity))

    def heard(self) -> list[Heard]:
        """Every executor that spoke within a day and did not say that it ends, by address."""
        columns = tables.executors.c
        with self._database.read() as connection:
            at = shared_now(connection)
            query = select(tables.executors).where(columns.at >= before(at, FORGOTTEN_S))
            rows = connection.execute(query.order_by(columns.host, columns.url, columns.id)).mappings().all()
        return [Heard(_beat(dict(row)), seconds_between(row["at"], at)) for row in rows]


def _row(beat: Beat) -> dict[str, Any]:
    row = asdict(beat)
    return {**row, "problem": beat.problem[:LONGEST] if beat.problem else None}


def _beat(row: dict[str, Any]) -> Beat:
    return Beat(**{name: value for name, value in row.items() if name != "at"})
