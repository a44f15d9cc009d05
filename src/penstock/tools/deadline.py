"""A call's deadline, held around whatever the call does in this process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from penstock.contracts.release import ToolComponent
from penstock.pal import ToolFailed, ToolInvocation


@contextlib.asynccontextmanager
async def in_time(tool: ToolComponent, call: ToolInvocation) -> AsyncIterator[None]:
    """Ends what is inside at the call's deadline, as `ToolFailed`; a `TimeoutError` of its own passes through."""
    try:
        async with asyncio.timeout(max(0.0, call.deadline - time.monotonic())) as timer:
            yield
    except TimeoutError:
        if timer.expired():
            raise ToolFailed("it did not end in its time", where=tool.ref) from None
        raise
