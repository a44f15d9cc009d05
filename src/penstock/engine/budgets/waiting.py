"""WaitingLines: calls that wait for money which others hold, one line an account."""

import asyncio
from collections import deque
from collections.abc import Iterable

from penstock.store.budget_ledger import Account


class WaitingLines:
    """Wakes one of those who wait at a time: a thousand that look for the same cent would look for ever."""

    def __init__(self) -> None:
        self._lines: dict[Account, deque[asyncio.Future[None]]] = {}

    async def wait(self, account: Account, seconds: float) -> None:
        """Returns once woken, at the latest after so long."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(account, deque()).append(place)
        try:
            await asyncio.wait([place], timeout=seconds)
        finally:
            place.cancel()

    def wake(self, accounts: Iterable[Account]) -> None:
        """Wakes the first one of each account's line; it wakes the next if it got what it needs."""
        for account in accounts:
            line = self._lines.get(account)
            while line:
                place = line.popleft()
                if not place.done():
                    place.set_result(None)
                    break
            else:
                self._lines.pop(account, None)
