"""Level: what is at work, began and waits at one of the levels of limits; Bound: what it may be there."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

LevelKind = Literal["global", "team", "agent", "runtime", "tenant"]
LimitKind = Literal["concurrency", "ratePerMinute", "queueDepth"]

NO_LIMIT = 1 << 60
NEVER = float("inf")


class Level:
    """The counts of one holder, such as the team `shop`; seconds are those of `time.monotonic`.

    `waiting` counts runs by lane: [interactive, batch]. `starts` holds the last times at which runs began, as many as
    the highest rate of its bounds needs, None while it has no rate. Until `shut_until` the executors together are known
    to be at the limit `shut_by`.
    """

    __slots__ = ("kind", "name", "running", "shut_by", "shut_until", "starts", "waiting")

    def __init__(self, kind: LevelKind, name: str) -> None:
        self.kind = kind
        self.name = name
        self.running = 0
        self.waiting = [0, 0]
        self.starts: deque[float] | None = None
        self.shut_until = 0.0
        self.shut_by: LimitKind = "concurrency"

    def __str__(self) -> str:
        if self.kind == "global":
            return "global"
        return f"{self.kind} {self.name or '(none)'}"

    @property
    def field(self) -> str:
        """Its name where executors share their counts."""
        return f"{self.kind}:{self.name}"

    def remember(self, rate: int) -> None:
        """Keeps at least the last `rate` starts from now on."""
        if self.starts is None or (self.starts.maxlen or 0) < rate:
            self.starts = deque(self.starts or (), maxlen=rate)

    def begun_since(self, horizon: float) -> int:
        """How many of the remembered starts are later than `horizon`."""
        return sum(start > horizon for start in self.starts or ())

    def is_idle(self, horizon: float) -> bool:
        """Whether nothing would be forgotten with it."""
        if self.running or any(self.waiting):
            return False
        return not self.starts or self.starts[-1] <= horizon


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """The limits of a level as a run meets them, `NO_LIMIT` where there is none; `source` names each one's place."""

    level: Level
    concurrency: int
    rate: int
    depth: int
    source: dict[LimitKind, str]

    def figure(self, limit: LimitKind) -> int:
        """One of the three."""
        return {"concurrency": self.concurrency, "ratePerMinute": self.rate, "queueDepth": self.depth}[limit]
