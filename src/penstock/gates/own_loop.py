"""Runs a coroutine from a gate, which is a plain function, on an event loop of its own."""

from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def on_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result. A caller that is on a loop itself is blocked meanwhile; the work gets a thread."""
    import asyncio  # `validate` imports the gates and runs none of them
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="gate") as threads:
        return threads.submit(asyncio.run, work).result()
