"""State figures: what the process itself is like now, read when somebody asks for the metrics."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.contracts.release import Release
from penstock.errors import PenstockError
from penstock.executor.telemetry.alert_watch import objectives
from penstock.executor.telemetry.figures import Figures
from penstock.routing import RoutingTable

if TYPE_CHECKING:
    from penstock.executor.executor import Executor

_IMPORTED = time.time()


class ColdStart:
    """How long the process took until it was ready first, seconds; None until then."""

    def __init__(self) -> None:
        self.seconds: float | None = None

    def mark(self, *, ready: bool) -> None:
        """Somebody asked whether it is ready."""
        if ready and self.seconds is None:
            self.seconds = max(0.0, time.time() - process_started())


class Objectives:
    """The SLO of all that stands, looked up once a table."""

    def __init__(self, releases: Callable[[str], Release]) -> None:
        self._releases = releases
        self._of: tuple[int, list[tuple[str, str, float]]] | None = None

    def of(self, table: RoutingTable) -> list[tuple[str, str, float]]:
        """(agent, stage, slo.successRate) of prod and canary; nothing while a release cannot be read."""
        if self._of is None or self._of[0] != table.generation:
            try:
                self._of = (table.generation, list(objectives(table, self._releases)))
            except PenstockError:
                return []
        return self._of[1]


def state_figures(
    executor: "Executor", objectives_of: Callable[[RoutingTable], list[tuple[str, str, float]]]
) -> Figures:
    """The figures of the executor's state; what is not known is left out."""
    figures, state, spool = Figures(), executor.state(), executor.parts.spool
    figures.set("penstock_executor_info", (__version__, platform.python_version()), 1)
    figures.set("penstock_executor_ready", (), float(state["ready"]))
    cold_start_s = executor.telemetry.cold_start.seconds
    if cold_start_s is not None:
        figures.set("penstock_executor_cold_start_seconds", (), cold_start_s)
    table = executor.watch.current
    if table is not None:
        figures.set("penstock_routing_generation", (), table.generation)
        for agent, stage, objective in objectives_of(table):
            figures.set("penstock_slo_success_objective", (agent, stage), objective)
    if state["ageS"] is not None:
        figures.set("penstock_routing_table_age_seconds", (), state["ageS"])
    if spool is not None:
        figures.set("penstock_spool_records", (), spool.waiting)
    figures.set("penstock_spool_bytes", (), executor.database.backlog_bytes)
    figures.set("penstock_database_up", (), float(executor.database.problem is None))
    return figures


def process_started() -> float:
    """When this process began, seconds since 1970; where the system does not say, when this module was imported."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        return int(booted.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return _IMPORTED
