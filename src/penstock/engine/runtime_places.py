"""RuntimePlaces: the runs at once that each runtime declares it can bear, and no other limit."""

from collections.abc import Callable
from dataclasses import dataclass

from penstock.engine.controls import RunClaim
from penstock.engine.router import RuntimeRouter


class RuntimePlaces:
    """What an engine without declared limits holds: `limits.concurrentRuns` of the runtimes; nobody waits."""

    def __init__(self, runtimes: RuntimeRouter) -> None:
        self._runtimes = runtimes

    async def enter(self, claim: RunClaim, queued: Callable[[str, int], None]) -> "_RuntimePlace":
        """A place on the run's runtime; raises `LimitReached` when all are taken."""
        self._runtimes.enter(claim.runtime)
        return _RuntimePlace(self._runtimes, claim.runtime)


@dataclass(frozen=True, slots=True)
class _RuntimePlace:
    runtimes: RuntimeRouter
    runtime: str

    def leave(self) -> None:
        """Gives the place back."""
        self.runtimes.leave(self.runtime)
