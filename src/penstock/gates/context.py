"""What a gate may look at: one release, where it stands, and the state beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from penstock.contracts.evidence import Evidence
from penstock.contracts.gate_result import GateResult, Origin
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes
from penstock.errors import NotFound
from penstock.settings import Settings

if TYPE_CHECKING:  # a pipeline is checked without reading Git
    from penstock.registry.git import Repository
    from penstock.registry.load import Registry
    from penstock.registry.resolve import Resolved
    from penstock.scoring.progress import Progress as MeasuringProgress

STAGES: tuple[Stage, ...] = ("dev", "canary", "prod")


class Progress(Protocol):
    """Hears what `run_stage` does, for a terminal."""

    def started(self, gate: str) -> None:
        """A gate begins."""
        ...

    def finished(self, result: GateResult, *, reused: bool) -> None:
        """A gate's result stands; `reused` = it was found, not measured."""
        ...


class ResultRecords(Protocol):
    """Where results that count are kept (`penstock.store.records.Records`)."""

    def results(self, release: str) -> Iterable[GateResult]:
        """All stored results of a release."""
        ...

    def put_result(self, result: GateResult) -> object:
        """Keeps one result for good."""
        ...

    def put_evidence(self, evidence: Evidence) -> object:
        """Keeps the evidence that an approval binds to."""
        ...


class LiveRun(Protocol):
    """What a stored run tells a gate; `duration_ms` and `cost_usd` None = not known."""

    @property
    def status(self) -> str:
        """finished, failed, cancelled, timed_out or rejected."""
        ...

    @property
    def duration_ms(self) -> float | None:
        """From run.started to the terminal event, milliseconds."""
        ...

    @property
    def cost_usd(self) -> float | None:
        """Of all model calls, USD."""
        ...

    @property
    def is_cached(self) -> bool:
        """Whether an earlier run's answer was given again."""
        ...


class LiveRuns(Protocol):
    """Where stored runs are counted (`penstock.store.runs.RunStore`)."""

    def live_runs(self, agent: str, release: str, stage: str, since: str) -> Sequence[LiveRun]:
        """Live runs of a release at a stage that started at or after `since`."""
        ...


@dataclass(frozen=True, slots=True)
class GateContext:
    """One release before its gates; each gate names what it read of this in the `inputs` of its result.

    `registry` is loaded at one source: a commit of the base branch (`origin` released) or a working tree (draft).
    `commit` brought the version and `base` is what it was merged onto (of a draft: HEAD, and the base branch's tip);
    None in a working tree that has no base. `authors` are the e-mail addresses behind `commit`. `baseline` is what prod
    serves now, `routes` the agent's entry of the table in force. `records` and `runs` are None where results are
    neither stored nor found (drafts). `watch` hears how far the runs of an evaluation are.
    """

    settings: Settings
    registry: "Registry"
    resolved: "Resolved"
    origin: Origin = "draft"
    repository: "Repository | None" = None
    commit: str | None = None
    base: str | None = None
    authors: tuple[str, ...] = ()
    baseline: Release | None = None
    routes: AgentRoutes | None = None
    records: ResultRecords | None = None
    runs: LiveRuns | None = None
    progress: Progress | None = None
    watch: "MeasuringProgress | None" = None

    @property
    def release(self) -> Release:
        """The release that is judged."""
        return self.resolved.release

    @property
    def agent(self) -> str:
        """The agent's name."""
        return self.release.name

    @property
    def version(self) -> str:
        """The agent's version."""
        return self.release.version

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that the registry declares; raises `NotFound` without one."""
        if self.registry.pipeline is None:
            raise NotFound(
                "no pipeline is declared", where="pipelines/release.yaml", now="write one, or `agentctl init` elsewhere"
            )
        return self.registry.pipeline


def timestamp(moment: datetime | None = None) -> str:
    """`moment` (default: now) as RFC 3339 in UTC with microseconds."""
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
