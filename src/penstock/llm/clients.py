"""LiteLLM keeps HTTP clients for good, each bound to an event loop: whoever has a short loop puts its own away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from penstock.llm.load import load

_CLOSING_S = 2.0


@contextlib.asynccontextmanager
async def own_clients() -> AsyncIterator[None]:
    """Closes and forgets the clients that LiteLLM made inside, and no others; raises `Unavailable` without LiteLLM."""
    litellm: Any = await asyncio.to_thread(load)
    kept: dict[str, Any] = litellm.in_memory_llm_clients_cache.cache_dict
    before = set(kept)
    try:
        yield
    finally:
        for name in kept.keys() - before:
            await _close(litellm.in_memory_llm_clients_cache, name)


async def _close(cache: Any, name: str) -> None:
    handler = cache.cache_dict.get(name)
    cache.cache_dict.pop(name, None)
    cache.ttl_dict.pop(name, None)
    for client in (handler, getattr(handler, "client", None), getattr(handler, "_client", None)):
        transport = getattr(client, "_transport", None)
        for part in (transport, client):
            close: Any = getattr(part, "aclose", None)
            if close is not None:
                # A client that cannot be closed is of no use to anybody else either.
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(_CLOSING_S):
                        await close()
