"""The controls of an executor, put together from its settings and its operations in this one place."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from penstock.contracts.capacity import CapacityRules
from penstock.contracts.operations import OperationsSpec
from penstock.contracts.runtime import Runtime
from penstock.engine.breakers.board import BreakerBoard, Orders
from penstock.engine.controls import Controls
from penstock.engine.limits.admission import RunAdmission
from penstock.engine.limits.shared_admission import SharedAdmission
from penstock.engine.router import RuntimeRouter
from penstock.errors import NotFound
from penstock.executor.declarations import read_declarations
from penstock.settings import Settings
from penstock.store.releases import ReleaseStore


@dataclass(frozen=True, slots=True)
class ExecutorControls:
    """What the engine of these declared runtimes asks, and the parts behind it that follow the operations."""

    runtimes: Mapping[str, Runtime]
    controls: Controls
    admission: RunAdmission
    breakers: BreakerBoard

    def change(self, operations: OperationsSpec) -> None:
        """Puts changed operations in force for the next decision."""
        self.admission.change(operations.limits)
        self.breakers.rule_by(operations.breakers)

    async def close(self) -> None:
        """Ends what the controls do in the background, once no run is left."""
        await self.admission.close()


def build_controls(
    settings: Settings, operations: OperationsSpec, releases: ReleaseStore, orders: Callable[[], Orders]
) -> ExecutorControls:
    """The controls of one executor but for its budgets, which need what the engine is made with (`open_budgets`).

    `orders` are operators' words on breakers. Raises `Unavailable` when what `settings` ask for is not installed.
    """
    runtimes = read_declarations(settings.root)
    runs_at_once = RuntimeRouter(runtimes).runs_at_once
    admission = _admission(settings, operations.limits, runs_at_once, releases)
    breakers = BreakerBoard(operations.breakers, orders)
    return ExecutorControls(runtimes, Controls(admission=admission, breakers=breakers), admission, breakers)


def _admission(
    settings: Settings, limits: CapacityRules, runs_at_once: Callable[[str], int | None], releases: ReleaseStore
) -> RunAdmission:
    if not settings.redis_url:
        return RunAdmission(limits, runs_at_once)
    return SharedAdmission(limits, runs_at_once, settings.redis_url, partial(_shared_prefix, releases))


def _shared_prefix(releases: ReleaseStore) -> str:
    """What keys in a shared server begin with: two projects never share one. Blocks; the braces are a hash tag."""
    try:
        lineage = releases.lineage()
    except NotFound:
        lineage = hashlib.sha256(releases.url.encode()).hexdigest()
    return f"penstock:{{{lineage}}}:limits:"
