"""Brings the online scores of live runs up to date: by the suites on the base branch, for everybody who asks."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from penstock.contracts.eval_suite import EvalSpec, Online
from penstock.errors import NotFound
from penstock.pal import ModelProvider
from penstock.registry.document_faults import did_you_mean
from penstock.registry.documents import Registry
from penstock.routing.release_cache import ReleaseCache
from penstock.settings import Settings
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore

if TYPE_CHECKING:  # the engine and its model library are loaded only by who scores
    from penstock.scoring.online import OnlinePass
    from penstock.scoring.online_budget import DayBudget
    from penstock.scoring.rig import Rig
    from penstock.scoring.scorer_set import ReadyScorer
    from penstock.store.database import Database


def online_suites(registry: Registry, agent: str | None = None) -> dict[str, EvalSpec]:
    """Agent -> suite of those whose live runs are scored; raises `NotFound` for a named one that is not among them."""
    found = {name: suite.spec for name, suite in sorted(registry.evals.items()) if suite.spec.online is not None}
    if agent is None:
        return found
    if agent not in found:
        known = "" if agent in registry.evals else did_you_mean(agent, registry.evals)
        hint = known or "let its eval suite say `online: {share, scorers, costUsdPerDay}`"
        raise NotFound(f"no live runs of {agent!r} are to be scored", where=f"evals/{agent}.yaml", now=hint)
    return {agent: found[agent]}


def onlines(registry: Registry) -> dict[str, Online]:
    """Agent -> what its suite declares for live runs."""
    return {name: spec.online for name, spec in online_suites(registry).items() if spec.online is not None}


async def judge_online(
    settings: Settings,
    registry: Registry,
    suites: Mapping[str, EvalSpec],
    since: str,
    *,
    provider: ModelProvider | None = None,
) -> "list[OnlinePass]":
    """One pass over the live runs of these agents that started since then (RFC 3339); judges run in mode eval.

    `provider` stands in for LiteLLM. Raises `Unavailable` when database, engine or release store fail, `Invalid` or
    `NotFound` for a suite whose scorers or judge cannot be run.
    """
    from penstock.scoring.online import score_online
    from penstock.scoring.rig import open_rig

    if not suites:
        return []
    releases = ReleaseCache(settings.cache, ReleaseStore(open_objects(settings.releases)))
    with _stored(settings) as database:
        async with open_rig(settings, registry, provider=provider) as rig:
            return [
                await score_online(
                    database, agent, spec, *_ready(rig, database, agent, spec), releases.release, since=since
                )
                for agent, spec in suites.items()
            ]


def due_scores(settings: Settings, suites: Mapping[str, EvalSpec], since: str) -> dict[str, int]:
    """Agent -> how many scores could be made now, of runs that started since then. Raises `Unavailable`.

    What judges would have to be paid for is left out once the day's budget is used up.
    """
    from penstock.scoring.online import due_runs, midnight
    from penstock.scoring.online_budget import DayBudget
    from penstock.store.run_scores import RunScoreStore

    found: dict[str, int] = {}
    if not suites:
        return found
    with _stored(settings) as database:
        store = RunScoreStore(database)
        for agent, spec in suites.items():
            assert spec.online is not None
            due = due_runs(store, agent, spec.online, since)
            budget = DayBudget(spec.online.cost_usd_per_day, store.spent(agent, midnight()))
            paid = {use.title for use in spec.scorers if use.agent is not None} if budget.refusal() else set()
            found[agent] = sum(len(runs) for title, runs in due.items() if title not in paid)
    return found


def _ready(rig: "Rig", database: "Database", agent: str, spec: EvalSpec) -> "tuple[list[ReadyScorer], DayBudget]":
    """The online scorers of a suite, and the budget that its judges are paid from."""
    from penstock.scoring.measured import Bounds
    from penstock.scoring.online import midnight
    from penstock.scoring.online_budget import DayBudget
    from penstock.scoring.scorer_set import ready_scorers, suite_judges
    from penstock.store.run_scores import RunScoreStore

    assert spec.online is not None
    budget = DayBudget(spec.online.cost_usd_per_day, RunScoreStore(database).spent(agent, midnight()))
    bounds = Bounds(1, spec.concurrency, spec.pace, budget)
    used = spec.model_copy(update={"scorers": [use for use in spec.scorers if use.title in spec.online.scorers]})
    return ready_scorers(rig.registry, used, {ref: rig.judge(ref, bounds) for ref in suite_judges(used)}), budget


@contextlib.contextmanager
def _stored(settings: Settings) -> "Iterator[Database]":
    """The database, with the runs that dead executors left in the spool."""
    from penstock.store.depots import open_project_database
    from penstock.store.spool_drain import SpoolDrain

    database = open_project_database(settings)
    try:
        SpoolDrain(settings.spool, database, threaded=False).drain_once()
        yield database
    finally:
        database.close()
