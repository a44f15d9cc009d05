"""LastResults: the last good result of calls whose tools say that an old one is better than none."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import orjson

MOST_BYTES = 16 * 1024 * 1024
MOST_RESULTS = 10_000


class LastResults:
    """What one process remembers, bounded in number and in bytes of JSON: what was not used longest goes first.

    The key says everything that the result depends on, the tenant first of all. `clock` counts seconds.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()

    def keep(self, key: Hashable, result: Any) -> None:
        """Remembers the result in place of an older one; what takes over a sixteenth of all room is not kept."""
        data = orjson.dumps(result)
        self._forget(key)
        if len(data) > self._most_bytes // 16:
            return
        self._kept[key] = (self._clock(), data)
        self._bytes += len(data)
        while self._bytes > self._most_bytes or len(self._kept) > MOST_RESULTS:
            self._forget(next(iter(self._kept)))

    def find(self, key: Hashable, max_age_s: float) -> tuple[Any, float] | None:
        """The result and its age in seconds; None if there is none that is young enough."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        age_s = self._clock() - kept[0]
        if age_s > max_age_s:
            self._forget(key)
            return None
        self._kept.move_to_end(key)
        return orjson.loads(kept[1]), age_s

    def _forget(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept[1])
