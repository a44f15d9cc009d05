"""Sessions: the release that each is on, and what was said in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Table, and_, select
from sqlalchemy.sql.elements import ColumnElement

from penstock.store import tables
from penstock.store.clock import now
from penstock.store.database import Database


@dataclass(frozen=True, slots=True)
class SessionRow:
    """What a session is pinned to, since when."""

    release: str
    version: str
    stage: str
    pinned_at: str


class SessionStore:
    """Sessions by tenant (None: without one), agent and id. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str | None, agent: str, session: str) -> SessionRow | None:
        """What the session is on; None for a new one."""
        columns = tables.sessions.c
        query = select(columns.release, columns.version, columns.stage, columns.pinned_at)
        with self._database.read() as connection:
            row = connection.execute(query.where(_is(tables.sessions, tenant, agent, session))).first()
        return SessionRow(*row) if row is not None else None

    def pin(self, tenant: str | None, agent: str, session: str, release: str, version: str, stage: str) -> None:
        """Puts the session on a release, a new one or one that has to move."""
        key = {"tenant": tenant or "", "agent": agent, "session": session}
        place = {"release": release, "version": version, "stage": stage, "pinned_at": now()}
        statement = self._database.insert(tables.sessions).on_conflict_do_update(index_elements=[*key], set_=place)
        with self._database.write() as connection:
            connection.execute(statement, {**key, **place})

    def history(self, tenant: str | None, agent: str, session: str) -> list[dict[str, Any]]:
        """The session's messages, oldest first."""
        columns = tables.session_messages.c
        query = select(columns.message).where(_is(tables.session_messages, tenant, agent, session))
        with self._database.read() as connection:
            return [orjson.loads(text) for text in connection.scalars(query.order_by(columns.id))]

    def append(self, tenant: str | None, agent: str, session: str, *messages: Mapping[str, Any]) -> None:
        """Adds messages at the end of the session, all or none."""
        if messages:
            with self._database.write() as connection:
                add_messages(connection, (tenant, agent, session), messages)


def add_messages(
    connection: Connection, key: tuple[str | None, str, str], messages: Iterable[Mapping[str, Any]]
) -> None:
    """Adds messages at the end of a session (tenant, agent, id), within a transaction of the caller's."""
    tenant, agent, session = key
    place = {"tenant": tenant or "", "agent": agent, "session": session}
    at = now()
    rows = [{**place, "at": at, "message": orjson.dumps(dict(message)).decode()} for message in messages]
    connection.execute(tables.session_messages.insert(), rows)


def _is(table: Table, tenant: str | None, agent: str, session: str) -> ColumnElement[bool]:
    return and_(table.c.tenant == (tenant or ""), table.c.agent == agent, table.c.session == session)
