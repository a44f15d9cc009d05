"""Rig: the engine that evaluations run on. Every trial is a stored run with events and cost, as in production."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from penstock.contracts.event import Mode
from penstock.contracts.release import Release
from penstock.engine.assembly import EngineParts, assemble
from penstock.engine.call import RunCall
from penstock.engine.engine import Engine, RunHandle
from penstock.engine.journal import Journal
from penstock.engine.runtimes import own_runtime, usable_runtimes
from penstock.errors import NotFound
from penstock.llm.load import load
from penstock.llm.transport import TransportProvider, needs_litellm
from penstock.pal import ModelProvider
from penstock.registry.documents import Registry
from penstock.registry.resolve import Resolved, resolve
from penstock.scoring.engine_judge import EngineJudge
from penstock.scoring.engine_subject import EngineSubject
from penstock.scoring.measured import Bounds
from penstock.settings import Settings
from penstock.store.clock import moment
from penstock.store.database import Database
from penstock.store.depots import open_project_database
from penstock.store.spool import Spool
from penstock.store.spool_drain import SpoolDrain
from penstock.store.trials import TrialStore

KEPT_DAYS = 7
"""How long trials and scores stay; they are reused for one day, and reports hold what was measured."""


class Rig:
    """An engine of its own for candidates, baselines and judges; made by `open_rig`. Belongs to one event loop."""

    def __init__(self, settings: Settings, registry: Registry, database: Database) -> None:
        self.settings = settings
        self.registry = registry
        self.store = TrialStore(database)
        self._blobs: dict[str, bytes] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._parts: EngineParts | None = None
        self._getting_ready: dict[int, tuple[Release, asyncio.Task[None]]] = {}

    @property
    def engine(self) -> Engine:
        """The engine."""
        assert self._parts is not None, "a rig is made by open_rig"
        return self._parts.engine

    def subject(
        self,
        resolved: Resolved,
        runtime: str | None = None,
        *,
        mode: Mode = "eval",
        journals: Mapping[str, Journal] | None = None,
    ) -> EngineSubject:
        """A release to be measured, on `runtime` (None: the agent's own, else the project's default).

        `journals` are production's, by `EvalCase.id`, for mode shadow. Raises `NotFound` for a runtime that is not
        declared, `Refused` naming what it lacks, `Unavailable` if it is not installed.
        """
        name = self._settled(resolved, runtime)
        versions = usable_runtimes(self.registry, resolved.release)[name]
        return EngineSubject(self, resolved, name, versions, mode, journals)

    def judge(self, ref: str, bounds: Bounds | None = None) -> EngineJudge:
        """The judge `agents/<name>@<version>` of the rig's registry; `bounds` pay for its runs from the beginning.

        Raises `NotFound`, `Invalid` with its faults, and what `subject` raises.
        """
        name, _, version = ref.removeprefix("agents/").partition("@")
        resolved = resolve(self.registry, name, version)
        return EngineJudge(self, resolved, self._settled(resolved, None), bounds)

    async def start(self, call: RunCall) -> RunHandle:
        """Starts a run once its runtime has a place for it, so that none is refused for want of one.

        Raises what keeps its release from being served (a requirement that is not installed).
        """
        await self._ready(call.release)
        place = self._places.get(call.runtime)
        if place is None:
            limit = self.registry.runtimes[call.runtime].spec.limits.concurrent_runs
            place = self._places[call.runtime] = asyncio.Semaphore(limit)
        await place.acquire()
        try:
            handle = self.engine.start(call)
        except BaseException:
            place.release()
            raise
        handle.task.add_done_callback(lambda _: place.release())
        return handle

    def blob(self, digest: str) -> bytes:
        """Bytes of a release that is measured here; raises `NotFound`."""
        if digest not in self._blobs:
            raise NotFound(f"no blob {digest} in the releases that are measured", where="evaluation")
        return self._blobs[digest]

    def _settled(self, resolved: Resolved, runtime: str | None) -> str:
        """The runtime's name, after a look at whether it can run the release."""
        name = runtime or own_runtime(resolved.release, self.settings.default_runtime)
        self.engine.runtimes.choose(resolved.release, name, name)
        self._blobs.update(resolved.blobs)
        return name

    async def _ready(self, release: Release) -> None:
        """Waits until the model library and the release's tools are loaded: no run's time may hold that."""
        known = self._getting_ready.get(id(release))
        if known is None:
            task = asyncio.create_task(asyncio.to_thread(self._load, release))
            known = self._getting_ready[id(release)] = (
                release,
                task,
            )  # its id stays its own
        await asyncio.shield(known[1])

    def _load(self, release: Release) -> None:
        assert self._parts is not None
        if isinstance(self._parts.provider, TransportProvider) and needs_litellm(release):
            load()
        self._parts.load(release)


@asynccontextmanager
async def open_rig(
    settings: Settings, registry: Registry, *, provider: ModelProvider | None = None
) -> AsyncIterator[Rig]:
    """A rig on the settings' database, runs going through a spool of its own that is drained all the time.

    `provider` stands in for LiteLLM. Leaving cancels the runs in flight and stores what was run; what the database
    cannot take then stays in the spool for the next executor. Raises `Unavailable` when either cannot be opened.
    """
    async with AsyncExitStack() as stack:
        database = await asyncio.to_thread(open_project_database, settings)
        stack.push_async_callback(asyncio.to_thread, database.close)
        rig = Rig(settings, registry, database)
        await asyncio.to_thread(rig.store.prune, _days_ago(KEPT_DAYS))
        spool = await asyncio.to_thread(Spool, settings.spool)
        drain = SpoolDrain(settings.spool, database, spool.executor)
        stack.push_async_callback(asyncio.to_thread, drain.close)
        stack.push_async_callback(asyncio.to_thread, spool.close)
        rig._parts = assemble(settings, registry.runtimes, rig.blob, sink=spool, provider=provider)
        stack.push_async_callback(rig._parts.close)
        yield rig


def _days_ago(days: float) -> str:
    return moment((datetime.now(UTC) - timedelta(days=days)).isoformat())
