"""Idempotency keys: a request that is sent again becomes nothing new for a day."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from penstock.errors import Invalid
from penstock.store import tables_queue
from penstock.store.clock import shifted
from penstock.store.database import Database
from penstock.store.database_clock import database_now

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
    tenant, agent = place
    at = database_now(connection)
    columns = _KEYS.c
    same = (columns.tenant == tenant) & (columns.agent == agent) & (columns.key == key.key)
    connection.execute(delete(_KEYS).where(same, columns.created_at < shifted(at, -KEPT_S)))
    row = {"tenant": tenant, "agent": agent, "key": key.key, "body": key.body, "target": target, "created_at": at}
    if connection.execute(database.insert(_KEYS).on_conflict_do_nothing(), row).rowcount:
        return target
    body, known = connection.execute(select(columns.body, columns.target).where(same)).one()
    if body != key.body:
        raise Invalid(
            "the key was sent with another request before", where=f"Idempotency-Key {key.key}", now="take a new key"
        )
    return str(known)


def free_key(connection: Connection, target: str) -> None:
    """Forgets the key of a run that was rejected: nothing ran, so the same request may be made again."""
    connection.execute(delete(_KEYS).where(_KEYS.c.target == target))


def purge_keys(database: Database) -> int:
    """Deletes the keys that are over a day old; returns how many."""
    with database.write() as connection:
        oldest = shifted(database_now(connection), -KEPT_S)
        return connection.execute(delete(_KEYS).where(_KEYS.c.created_at < oldest)).rowcount
