"""Idempotency keys: a request that is sent again becomes nothing new for a day."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select
from sqlalchemy.sql.elements import ColumnElement

from penstock.errors import Invalid
from penstock.store import tables_queue
from penstock.store.database import Database
from penstock.store.shared_clock import before, shared_now

KEPT_S = 86_400.0
"""So long after the request a key is known."""

_KEYS = tables_queue.idempotency_keys


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key, and the digest of what was asked with it."""

    key: str
    body: str


def take_key(
    database: Database, connection: Connection, place: tuple[str, str], key: IdempotencyKey, target: str
) -> str:
    """Binds the key to `target` within the caller's transaction; returns what it is bound to.

    That is another target when the same was asked before. `place` is (tenant, agent). Raises `Invalid` when the key
    stands for another request.
    """
    at = shared_now(connection)
    old = _KEYS.c.created_at < before(at, KEPT_S)
    connection.execute(delete(_KEYS).where(_is(place, key), old))
    row = {"tenant": place[0], "agent": place[1], "key": key.key, "body": key.body, "target": target, "created_at": at}
    insert = database.insert(_KEYS).values(**row).on_conflict_do_nothing().returning(_KEYS.c.key)
    if connection.execute(insert).first() is not None:
        return target
    return known_target(connection, place, key) or target


def known_target(connection: Connection, place: tuple[str, str], key: IdempotencyKey) -> str | None:
    """What the key is bound to for a day; None of a new one. Raises `Invalid` when it stands for another request."""
    since = before(shared_now(connection), KEPT_S)
    query = select(_KEYS.c.body, _KEYS.c.target).where(_is(place, key), _KEYS.c.created_at >= since)
    row = connection.execute(query).first()
    if row is None:
        return None
    if row.body != key.body:
        raise Invalid(
            "the key was sent with another request before", where=f"Idempotency-Key {key.key}", now="take a new key"
        )
    return str(row.target)


def free_key(connection: Connection, target: str) -> None:
    """Forgets the key of a run that was rejected: nothing ran, so the same request may be made again."""
    connection.execute(delete(_KEYS).where(_KEYS.c.target == target))


def _is(place: tuple[str, str], key: IdempotencyKey) -> ColumnElement[bool]:
    return and_(_KEYS.c.tenant == place[0], _KEYS.c.agent == place[1], _KEYS.c.key == key.key)


def purge_keys(database: Database) -> int:
    """Deletes the keys that are over a day old; returns how many."""
    with database.write() as connection:
        oldest = before(shared_now(connection), KEPT_S)
        return connection.execute(delete(_KEYS).where(_KEYS.c.created_at < oldest)).rowcount
