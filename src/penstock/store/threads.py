"""Threads in which event loops ask the database.

They are its own: a database that says nothing holds every thread that asks it, and what needs no database must not wait
for a thread behind those.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

AT_ONCE = 8
"""Questions at once; the others wait for their turn."""

P = ParamSpec("P")
T = TypeVar("T")
_THREADS = ThreadPoolExecutor(AT_ONCE, "penstock-database")


async def in_database_thread(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `work` returns or raises, in the caller's context, as `asyncio.to_thread` has it."""
    called = functools.partial(contextvars.copy_context().run, work, *args, **named)
    return await asyncio.get_running_loop().run_in_executor(_THREADS, called)
