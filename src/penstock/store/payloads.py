"""Payloads: the texts that a run's events refer to, apart from its facts, so that they can be deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, delete, exists, select, update

from penstock.errors import Unavailable
from penstock.store import tables
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.depots import Depots
from penstock.store.feedback import drop_texts
from penstock.store.payload_objects import Claim
from penstock.store.row_insert import RowInsert
from penstock.store.run_day import day_of
from penstock.store.run_scores import drop_reasons


@dataclass(frozen=True, slots=True)
class Payload:
    """A text that a run's events refer to; `role` is input, output, messages or journal.

    `is_large` = its body is in the payload store.
    """

    ref: str
    role: str
    body: Any
    is_large: bool = False


class PayloadRows:
    """The payloads of runs, wherever their bodies are: in a row, in the payload store, in the archive.

    Raises `Unavailable` when one of them fails that is needed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._new = RowInsert(lambda: database.insert(tables.payloads).on_conflict_do_nothing())

    def add(self, connection: Connection, records: Sequence[dict[str, Any]]) -> None:
        """Takes in spooled payloads, but for those of runs whose payloads were deleted."""
        run_ids = {record["runId"] for record in records}
        if not run_ids:
            return
        columns = tables.payload_deletions.c
        deleted = set(connection.scalars(select(columns.run_id).where(columns.run_id.in_(run_ids))))
        self._new.put(connection, [payload_row(record) for record in records if record["runId"] not in deleted])
        late = {record["runId"] for record in records if record["runId"] in deleted and "claim" in record}
        if late:  # their objects came after the deletion: it has to be done once more
            again = update(tables.payload_deletions).where(columns.run_id.in_(late))
            connection.execute(again.values(at=now(), has_claims=True, erased_at=None))

    def of_run(self, run_id: str, roles: Sequence[str] = ()) -> list[Payload]:
        """The run's payloads in the order in which they came, of these roles if any are given."""
        columns = tables.payloads.c
        query = select(columns.ref, columns.role, columns.body, columns.claim).where(columns.run_id == run_id)
        if roles:
            query = query.where(columns.role.in_(roles))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(columns.id)).all()
            in_archive = not rows and self._is_in_archive(connection, run_id)
        if in_archive:
            return self._archived(run_id, roles)
        return [Payload(row.ref, row.role, self.body(row.body, row.claim), row.claim is not None) for row in rows]

    def keep_as(self, payload: Payload, tenant: str | None, run_id: str) -> Claim | None:
        """Keeps a large payload once more, as another run's of that tenant; None of one that fits a row."""
        if not payload.is_large:
            return None
        return self._depots.payloads.put(tenant, run_id, payload.ref, orjson.dumps(payload.body))

    def delete(self, run_id: str) -> int:
        """Deletes a run's payloads for good; returns how many rows that was. `erase` then clears the other places."""
        claimed = exists().where(tables.payloads.c.run_id == run_id, tables.payloads.c.claim.is_not(None))
        with self._database.write() as connection:
            has_claims = bool(connection.scalar(select(claimed)))
            mark: Any = self._database.insert(tables.payload_deletions)
            row = {"at": now(), "has_claims": has_claims, "erased_at": None}
            again = row if has_claims else {"at": row["at"], "erased_at": None}
            mark = mark.on_conflict_do_update(index_elements=["run_id"], set_=again)
            connection.execute(mark, {"run_id": run_id, **row})
            return expire(connection, run_id)

    def is_deleted(self, run_id: str) -> bool:
        """Whether the run's payloads were deleted by request."""
        column = tables.payload_deletions.c.run_id
        with self._database.read() as connection:
            return connection.scalar(select(column).where(column == run_id)) is not None

    def body(self, body: str, claim: str | None) -> Any:
        """What a row's two columns stand for, fetched where it is a claim."""
        if claim is None:
            return orjson.loads(body)
        return orjson.loads(self._depots.payloads.get(Claim.read(orjson.loads(claim))))

    @property
    def _depots(self) -> Depots:
        if self._database.depots is None:
            what = "the payload is in a payload store that was not named"
            raise Unavailable(what, where=self._database.place, now="open the database by the project's settings")
        return self._database.depots

    def _is_in_archive(self, connection: Connection, run_id: str) -> bool:
        """Whether payloads without rows may stand in the archive: expired there they do, deleted they do not."""
        deleted = tables.payload_deletions.c.run_id
        if connection.scalar(select(deleted).where(deleted == run_id)) is not None:
            return False
        return self._database.depots is not None and is_archived_day(connection, run_id)

    def _archived(self, run_id: str, roles: Sequence[str]) -> list[Payload]:
        found = [line for line in self._depots.archive.contents(run_id) if "ref" in line]
        return [
            Payload(line["ref"], line["role"], line["body"]) for line in found if not roles or line["role"] in roles
        ]


def expire(connection: Connection, run_id: str) -> int:
    """Takes the contents of a run out of the database; the facts stay. Returns how many payloads there were."""
    drop_texts(connection, run_id)
    drop_reasons(connection, run_id)
    return connection.execute(delete(tables.payloads).where(tables.payloads.c.run_id == run_id)).rowcount


def is_archived_day(connection: Connection, run_id: str) -> bool:
    """Whether anything of the day of a run is in the archive."""
    column = tables.archive_days.c.day
    return connection.scalar(select(column).where(column == day_of(run_id))) is not None


def payload_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a payload as the spool has it: with its body, or with a claim of it."""
    claim = record.get("claim")
    return {
        "run_id": record["runId"],
        "role": record["role"],
        "ref": record["ref"],
        "body": orjson.dumps(record.get("body")).decode(),
        "claim": None if claim is None else orjson.dumps(claim).decode(),
    }
