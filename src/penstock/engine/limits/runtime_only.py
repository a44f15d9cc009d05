"""The limits of an engine for which nobody declared any: what its runtimes bear."""

from collections.abc import Callable

from penstock.contracts.capacity import CapacityRules
from penstock.engine.limits.admission import RunAdmission

_NONE = {"global": {"concurrency": None, "ratePerMinute": None, "queueDepth": 0}, "maxWaitMs": 0}


def runtime_limits(runs_at_once: Callable[[str], int | None]) -> RunAdmission:
    """Holds `limits.concurrentRuns` of the runtimes; nobody waits."""
    return RunAdmission(CapacityRules.model_validate(_NONE), runs_at_once, holds_agents=False)
