"""Claim check: a payload over a size goes to the payload store, and its record holds a claim in its place.

The object is durable before there is a record that claims it: whoever keeps a payload waits for that.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from penstock.settings import Settings
from penstock.store.payload_objects import Claim, PayloadObjects

AT_ONCE = 8
"""Payloads on their way at once; the others wait."""


class ClaimCheck:
    """Keeps payloads of more than `over_bytes` (as JSON) in `objects`."""

    def __init__(self, objects: PayloadObjects, over_bytes: int) -> None:
        self._objects = objects
        self._over_bytes = over_bytes
        self._threads = ThreadPoolExecutor(AT_ONCE, "penstock-payloads")

    async def check(self, tenant: str | None, run_id: str, ref: str, body: Any) -> Claim | None:
        """The claim of a run's payload that is large, once it is durable; None of one that is not.

        Raises `Unavailable` when the payload store fails.
        """
        data = orjson.dumps(body)
        if len(data) <= self._over_bytes:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._objects.put, tenant, run_id, ref, data)

    def close(self) -> None:
        """Ends its threads; what is under way comes to its end."""
        self._threads.shutdown(wait=False)


def open_claim_check(settings: Settings) -> ClaimCheck:
    """The claim check of a project; nothing is written yet. Raises `Unavailable` without the library of its store."""
    return ClaimCheck(PayloadObjects(settings.payloads), settings.claim_check_bytes)
