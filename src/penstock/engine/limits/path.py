"""Path: the levels that a run passes, all at once or none; Block: the first that has no place for it."""

from dataclasses import dataclass

from penstock.engine.limits.level import NEVER, Bound, LimitKind

_NEWEST = 0.2  # the weight of the newest run in the mean time that runs stay


@dataclass(frozen=True, slots=True)
class Block:
    """Why a run has no place now; `due` is when it may have one by time alone (`NEVER`: somebody has to leave)."""

    index: int
    bound: Bound
    limit: LimitKind
    due: float


class Path:
    """What runs of one agent's version, tenant and runtime pass; `bounds` are replaced when the rules change.

    The order is global, team, agent, runtime, tenant. `stay_s` is the mean time that its runs stayed.
    """

    __slots__ = ("agent", "bounds", "stay_s", "team", "window_s")

    def __init__(self, team: str, agent: str, bounds: tuple[Bound, ...], window_s: float) -> None:
        self.team = team
        self.agent = agent
        self.bounds = bounds
        self.window_s = window_s
        self.stay_s = 1.0

    def blocked(self, now: float) -> Block | None:
        """The first level without a place; None = there is one at all of them.

        Exact: with the `rate`-th last start within the window, the next one would be one too many in it.
        """
        for bound in self.bounds:
            level = bound.level
            if level.running >= bound.concurrency:
                return self._block(bound, "concurrency", NEVER)
            if level.shut_until > now:
                return self._block(bound, level.shut_by, level.shut_until)
            rate, starts = bound.rate, level.starts
            if starts is not None and len(starts) >= rate and starts[-rate] > now - self.window_s:
                return self._block(bound, "ratePerMinute", starts[-rate] + self.window_s)
        return None

    def _block(self, bound: Bound, limit: LimitKind, due: float) -> Block:
        return Block(self.bounds.index(bound), bound, limit, due)

    def full(self, lane: int) -> Bound | None:
        """The first level at which no further run may wait in this lane; None = it may."""
        for bound in self.bounds:
            if bound.level.waiting[lane] >= bound.depth:
                return bound
        return None

    def take(self, now: float) -> None:
        """Counts a run that begins."""
        for bound in self.bounds:
            level = bound.level
            level.running += 1
            if level.starts is not None:
                level.starts.append(now)

    def reserve(self, places: int) -> None:
        """Keeps a place (1) for a run that may begin, or lets it go (-1)."""
        for bound in self.bounds:
            bound.level.running += places

    def begin(self, now: float) -> None:
        """Counts the start of a run that has its place."""
        for bound in self.bounds:
            if bound.level.starts is not None:
                bound.level.starts.append(now)

    def leave(self, stayed_s: float) -> None:
        """Uncounts a run that ended."""
        self.stay_s += _NEWEST * (stayed_s - self.stay_s)
        for bound in self.bounds:
            level = bound.level
            level.running -= 1
            level.shut_until = 0.0

    def open(self) -> None:
        """Forgets what was known of other executors."""
        for bound in self.bounds:
            bound.level.shut_until = 0.0

    def wait(self, lane: int, change: int) -> None:
        """Counts one who waits (+1) or waits no more (-1)."""
        for bound in self.bounds:
            bound.level.waiting[lane] += change
