"""One HTTP session for each event loop: its connections are kept for the loop's calls and closed at the loop's end."""

import asyncio
import importlib
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from penstock.errors import Unavailable

KEEP_ALIVE_S = 30.0
"""How long an idle connection is kept, seconds."""


class BodyTooLong(Exception):
    """A body is longer than its reader takes."""


class LoopSessions:
    """The sessions of one purpose; `connector` makes a session's connector from the aiohttp module.

    Redirects, cookies and compression are nobody's business here, and no time limit but the caller's holds.
    """

    def __init__(self, connector: Callable[[Any], Any]) -> None:
        self._connector = connector
        self._made: dict[asyncio.AbstractEventLoop, tuple[Any, AsyncGenerator[Any]]] = {}

    async def session(self) -> Any:
        """The running loop's session (aiohttp.ClientSession); raises `Unavailable` where aiohttp is not installed."""
        loop = asyncio.get_running_loop()
        made = self._made.get(loop)
        if made is None:
            # The end of a loop closes the asynchronous generators that it began: so nobody has to be told of it.
            life = self._life(loop)
            made = self._made[loop] = (await anext(life), life)
        return made[0]

    async def close(self) -> None:
        """Closes the running loop's session; a later call makes a new one."""
        made = self._made.pop(asyncio.get_running_loop(), None)
        if made is not None:
            await made[1].aclose()

    async def _life(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[Any]:
        aiohttp = load_aiohttp()
        session = aiohttp.ClientSession(
            connector=self._connector(aiohttp),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            skip_auto_headers=("user-agent", "accept-encoding", "accept"),
            auto_decompress=False,
            trust_env=False,
        )
        try:
            yield session
        finally:
            self._made.pop(loop, None)
            await session.close()


def load_aiohttp() -> Any:
    """The aiohttp module, imported at the first call; raises `Unavailable` naming the extra."""
    try:
        return importlib.import_module("aiohttp")
    except ImportError as error:
        raise Unavailable(
            f"aiohttp cannot be imported: {error}", where="HTTP calls", now='pip install "penstock[llm]"'
        ) from None


async def read_bounded(response: Any, limit: int) -> bytes:
    """The whole body; raises `BodyTooLong` past `limit` bytes, and closes the connection then."""
    parts, size = [], 0
    async for data in response.content.iter_any():
        size += len(data)
        if size > limit:
            response.close()
            raise BodyTooLong
        parts.append(data)
    return b"".join(parts)


def retry_after_s(text: str) -> float | None:
    """The seconds that a Retry-After header asks for, given as such or as a date (RFC 9110); None = not to be read."""
    text = text.strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
