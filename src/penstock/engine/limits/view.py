"""LimitsView: the limits in force and what is at work under them, as `GET /v1/limits` shows it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from penstock.engine.limits.level import NO_LIMIT, Bound


@dataclass(frozen=True, slots=True)
class LevelView:
    """One level with one set of limits (None = no limit).

    `running_everywhere` and `waiting_everywhere` are of all executors that share it, None where there is no such count.
    """

    level: str
    name: str
    concurrency: int | None
    rate_per_minute: int | None
    queue_depth: int | None
    running: int
    began: int | None
    waiting: int
    waiting_batch: int
    running_everywhere: int | None = None
    waiting_everywhere: int | None = None

    def as_document(self) -> dict[str, Any]:
        """The level as a JSON object."""
        return {
            "level": self.level,
            "name": self.name,
            "limits": {
                "concurrency": self.concurrency,
                "ratePerMinute": self.rate_per_minute,
                "queueDepth": self.queue_depth,
            },
            "running": self.running,
            "beganLastMinute": self.began,
            "waiting": self.waiting,
            "waitingBatch": self.waiting_batch,
            "runningEverywhere": self.running_everywhere,
            "waitingEverywhere": self.waiting_everywhere,
        }


@dataclass(frozen=True, slots=True)
class LimitsView:
    """`held` is where the counts are: `in process`, `redis`, or `alone` while Redis is away, as `problem` says."""

    held: str
    problem: str | None
    levels: tuple[LevelView, ...]

    def as_document(self) -> dict[str, Any]:
        """The view as a JSON object."""
        return {
            "held": self.held,
            "problem": self.problem,
            "levels": [level.as_document() for level in self.levels],
        }


def levels_of(bounds: Iterable[Bound], horizon: float) -> tuple[LevelView, ...]:
    """Each level; what began counts from `horizon` on."""
    return tuple(_seen(bound, horizon) for bound in bounds)


def with_shared(levels: Iterable[LevelView], counts: Mapping[str, int]) -> tuple[LevelView, ...]:
    """The levels with what all executors together have; a runtime's places are each executor's own."""
    return tuple(
        level
        if level.level == "runtime"
        else replace(
            level,
            running_everywhere=counts.get(f"{level.level}:{level.name}", 0),
            waiting_everywhere=counts.get(f"w:{level.level}:{level.name}", 0),
        )
        for level in levels
    )


def _seen(bound: Bound, horizon: float) -> LevelView:
    level = bound.level
    return LevelView(
        level.kind,
        level.name,
        _figure(bound.concurrency),
        _figure(bound.rate),
        _figure(bound.depth),
        level.running,
        None if level.starts is None else level.begun_since(horizon),
        *level.waiting,
    )


def _figure(limit: int) -> int | None:
    return None if limit == NO_LIMIT else limit
