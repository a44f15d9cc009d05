"""CacheShelf: values that grow old, in parts that never see each other, bounded in number and in bytes."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")

MOST_BYTES = 64 * 1024 * 1024
OWN_BYTES = 1_000
"""What a value costs beside its own size: its place in the shelf."""


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Value]):
    value: Value
    size: int
    until: float


class CacheShelf(Generic[Value]):
    """Keeps values by part and key. A part's oldest value goes first, and of all parts the one unused for longest.

    Sizes are the caller's, in bytes; a value of more than a sixteenth of `most_bytes` is not kept. `clock` counts
    seconds.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._bytes = 0
        self._parts: OrderedDict[Hashable, OrderedDict[Hashable, _Kept[Value]]] = OrderedDict()

    def __len__(self) -> int:
        """How many values there are, old ones that nobody asked for included."""
        return sum(map(len, self._parts.values()))

    def find(self, part: Hashable, key: Hashable) -> Value | None:
        """The value of that key, if it is young enough."""
        kept = self._young(part).get(key)
        return kept.value if kept is not None else None

    def values(self, part: Hashable) -> Iterator[Value]:
        """All values of a part that are young enough, the newest first."""
        return (kept.value for kept in reversed(self._young(part).values()))

    def keep(self, part: Hashable, key: Hashable, value: Value, *, size: int, ttl_s: float, entries: int) -> None:
        """Keeps a value for `ttl_s` seconds, in place of an older one; the part then has `entries` values at most."""
        size += OWN_BYTES
        if size > self._most_bytes // 16:
            return
        self._young(part)
        values = self._parts.setdefault(part, OrderedDict())
        self._parts.move_to_end(part)
        self._forget(part, key)
        values[key] = _Kept(value, size, self._clock() + ttl_s)
        self._bytes += size
        while len(values) > entries:
            self._forget(part, next(iter(values)))
        self._make_room()

    def _young(self, part: Hashable) -> OrderedDict[Hashable, _Kept[Value]]:
        """A part's values without the old ones, which are its first: all of a part live equally long."""
        values = self._parts.get(part)
        if values is None:
            return OrderedDict()
        self._parts.move_to_end(part)
        now = self._clock()
        while values and next(iter(values.values())).until <= now:
            self._forget(part, next(iter(values)))
        if not values:
            del self._parts[part]
        return values

    def _make_room(self) -> None:
        while self._bytes > self._most_bytes:
            part, values = next(iter(self._parts.items()))
            self._forget(part, next(iter(values)))
            if not values:
                del self._parts[part]

    def _forget(self, part: Hashable, key: Hashable) -> None:
        kept = self._parts[part].pop(key, None)
        if kept is not None:
            self._bytes -= kept.size
