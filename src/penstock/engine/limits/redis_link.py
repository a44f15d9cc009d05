"""RedisLink: one connection to Redis that runs scripts, many in one round trip."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.errors import Unavailable, WrongUse

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection


class RedisLink:
    """Opened when it is first used, and again after `close`. Raises `Unavailable` without the extra `redis`."""

    def __init__(self, url: str) -> None:
        try:
            from redis.asyncio.connection import ConnectionPool
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            raise Unavailable(
                "redis is not installed", where="redis_url", now="pip install 'penstock[redis]'"
            ) from None
        try:
            self._pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0), protocol=2)
        except ValueError as error:
            raise WrongUse(str(error), where="redis_url", now="such as redis://127.0.0.1:6379/0") from None
        self._connection: AbstractConnection | None = None
        self._loaded: set[str] = set()

    async def run(
        self, scripts: Sequence[tuple[str, tuple[str | int, ...]]], keys: tuple[str, ...], timeout_s: float
    ) -> list[Any]:
        """What each script answers, in their order; raises when one of them or the connection fails, or in time.

        After that the connection is of no use: `close` it.
        """
        async with asyncio.timeout(timeout_s):
            connection = await self._open()
            commands: list[tuple[str | int, ...]] = []
            for script, words in scripts:
                name, text = ("EVALSHA", _sha(script)) if script in self._loaded else ("EVAL", script)
                self._loaded.add(script)
                commands.append((name, text, len(keys), *keys, *words))
            await connection.send_packed_command(connection.pack_commands(commands))
            return [await connection.read_response() for _ in commands]

    async def close(self) -> None:
        """Drops the connection."""
        connection, self._connection = self._connection, None
        self._loaded.clear()
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _open(self) -> "AbstractConnection":
        if self._connection is None:
            self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await self._connection.connect()
        return self._connection


_SHAS: dict[str, str] = {}


def _sha(script: str) -> str:
    known = _SHAS.get(script)
    if known is None:
        known = _SHAS[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    return known
