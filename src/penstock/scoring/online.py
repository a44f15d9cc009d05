"""Online scoring: a declared share of live runs is scored afterwards, by the scorers that the suite names for it.

Never in a request's path: it reads what is stored. Which runs are chosen follows from their ids alone, so that
everybody chooses the same; who scores one claims it first (`store.run_scores`), so that nobody pays twice.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from penstock.contracts.eval_suite import EvalSpec, Online
from penstock.contracts.release import Release
from penstock.errors import PenstockError, Unavailable
from penstock.governance.redaction import NotRedacted
from penstock.routing import bucket
from penstock.scoring.live_trial import read_live_trial
from penstock.scoring.online_budget import Attempt, DayBudget, attempt
from penstock.scoring.recorded_run import STAGES
from penstock.scoring.scorer import Score
from penstock.scoring.scoring_pass import Scoring
from penstock.scoring.trial import ENVIRONMENT
from penstock.store.database import Database
from penstock.store.run_scores import Claim, LiveRunRow, RunScoreStore, ScoreKey
from penstock.store.runs import RunStore

T = TypeVar("T")

SCALE = 1_000_000
LEASE_S = 900
"""How long a worker has for one score; whoever died is replaced after that."""
BACKOFF_S = (60, 300, 1_800, 7_200)
"""How long after each failed attempt the next one is made; after the last there is none."""
IN_FLIGHT = 8


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far one scorer is: of `sampled` runs, `scored`, `waiting` for a first or another attempt, and `given_up`."""

    scorer: str
    sampled: int
    scored: int
    waiting: int
    given_up: int

    @property
    def share(self) -> float | None:
        """The share of sampled runs that have a score; None where none was sampled."""
        return self.scored / self.sampled if self.sampled else None

    def as_document(self) -> dict[str, Any]:
        """The coverage as a JSON object."""
        return {
            "scorer": self.scorer,
            "sampled": self.sampled,
            "scored": self.scored,
            "waiting": self.waiting,
            "givenUp": self.given_up,
            "share": self.share,
        }


@dataclass(slots=True)
class OnlinePass:
    """What one pass over an agent's live runs did; `stopped` is one sentence when something was left for later."""

    agent: str
    scored: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    spent_today_usd: float = 0.0
    stopped: str | None = None
    problems: list[str] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)

    @property
    def backlog(self) -> int:
        """Scores that are still to be made."""
        return sum(one.waiting for one in self.coverage)

    def as_document(self) -> dict[str, Any]:
        """The pass as a JSON object."""
        return {
            "agent": self.agent,
            "scored": self.scored,
            "failed": self.failed,
            "backlog": self.backlog,
            "costUsd": self.cost_usd,
            "spentTodayUsd": self.spent_today_usd,
            "stopped": self.stopped,
            "problems": self.problems,
            "coverage": [one.as_document() for one in self.coverage],
        }


def is_sampled(run_id: str, share: float) -> bool:
    """Whether a run is one of the declared share: by its id alone, the same for whoever asks."""
    return bucket(run_id, SCALE) < share * SCALE


def sampled_runs(runs: Iterable[LiveRunRow], online: Online) -> list[LiveRunRow]:
    """Those that are to be scored: users' runs, of the share, that finished or failed by the agent's own doing."""
    own = (run for run in runs if run.stage in STAGES and run.failure not in ENVIRONMENT)
    return [run for run in own if is_sampled(run.run_id, online.share)]


def coverage(store: RunScoreStore, agent: str, online: Online, since: str, **of: str) -> list[Coverage]:
    """How far each of the suite's online scorers is with the runs since then (RFC 3339).

    `of` may name `release` and `stage`. Raises `Unavailable`.
    """
    sampled = [run.run_id for run in sampled_runs(store.ended_runs(agent, since, **of), online)]
    found = []
    for scorer in online.scorers:
        states = store.states(agent, scorer, since)
        of_sample = [states[run_id] for run_id in sampled if run_id in states]
        scored = sum(state == "scored" for state, _ in of_sample)
        given_up = sum(state == "failed" and due is None for state, due in of_sample)
        found.append(Coverage(scorer, len(sampled), scored, len(sampled) - scored - given_up, given_up))
    return found


def due_runs(store: RunScoreStore, agent: str, online: Online, since: str) -> dict[str, list[LiveRunRow]]:
    """Scorer -> the sampled runs that it could be asked about now, oldest first. Raises `Unavailable`."""
    runs = sampled_runs(store.ended_runs(agent, since), online)
    found = {}
    for scorer in online.scorers:
        states = store.states(agent, scorer, since)
        found[scorer] = [run for run in runs if _is_due(states.get(run.run_id))]
    return found


async def score_online(
    database: Database,
    agent: str,
    spec: EvalSpec,
    scorers: Sequence[Scoring],
    budget: DayBudget,
    releases: Callable[[str], Release],
    *,
    since: str,
) -> OnlinePass:
    """Scores what is waiting, oldest runs first, until nothing is left or the day's budget is used up.

    `scorers` are those that `spec.online` names, their judges paid by `budget`. What a scorer cannot say is kept and
    tried again later. Raises `Unavailable` when the database or the engine fails, and what cancels it: a claim is then
    given back, what was scored stays.
    """
    assert spec.online is not None, "only suites with `online` are scored"
    store = RunScoreStore(database)
    work = _Work(agent, store, RunStore(database), releases, budget, OnlinePass(agent))
    due = await asyncio.to_thread(due_runs, store, agent, spec.online, since)
    waiting = [(scorer, run) for scorer in scorers for run in due[scorer.title]]
    await work.run_all(waiting, min(IN_FLIGHT, spec.concurrency))
    work.done.spent_today_usd = (await asyncio.to_thread(store.spent, agent, midnight())).usd
    work.done.coverage = await asyncio.to_thread(coverage, store, agent, spec.online, since)
    return work.done


def midnight() -> str:
    """When the day of the budgets began (UTC), RFC 3339."""
    return datetime.now(UTC).strftime("%Y-%m-%dT00:00:00.000000Z")


def _in_future(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _is_due(state: tuple[str, str | None] | None) -> bool:
    return state is None or (state[0] != "scored" and state[1] is not None and state[1] <= _in_future(0))


async def _to_end(write: Callable[..., T], *arguments: Any) -> T:
    """Writes in a thread and waits for its end, a cancel too: a thread cannot be stopped half-way."""
    writing = asyncio.ensure_future(asyncio.to_thread(write, *arguments))
    try:
        return await asyncio.shield(writing)
    except asyncio.CancelledError:
        await writing
        raise


@dataclass(slots=True)
class _Work:
    agent: str
    store: RunScoreStore
    runs: RunStore
    releases: Callable[[str], Release]
    budget: DayBudget
    done: OnlinePass

    async def run_all(self, waiting: Sequence[tuple[Scoring, LiveRunRow]], in_flight: int) -> None:
        """Works the list off, some at once; raises the first that ends everything, once all have stopped."""
        left = iter(waiting)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(in_flight, len(waiting))):
                    group.create_task(self._worker(left))
        except BaseExceptionGroup as broken:
            raise broken.exceptions[0] from None

    async def _worker(self, left: Iterable[tuple[Scoring, LiveRunRow]]) -> None:
        for scorer, run in left:
            if scorer.judge is not None and await asyncio.to_thread(self._refused):
                continue
            identity = (scorer.title, scorer.digest, self.agent, run.release, run.stage)
            claim = await self._claimed(ScoreKey(run.run_id, *identity))
            if claim is not None:
                await self._score(scorer, claim)

    async def _claimed(self, key: ScoreKey) -> Claim | None:
        claiming = asyncio.ensure_future(asyncio.to_thread(self.store.claim, key, _in_future(LEASE_S)))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claim = await claiming
            if claim is not None:
                await asyncio.to_thread(self.store.give_back, claim)
            raise

    def _refused(self) -> bool:
        self.budget.seen(self.store.spent(self.agent, midnight()))
        self.done.stopped = self.done.stopped or self.budget.refusal()
        return self.done.stopped is not None

    async def _score(self, scorer: Scoring, claim: Claim) -> None:
        with attempt() as made:
            try:
                score = await self._asked(scorer, claim)
            except BaseException as error:
                if self._is_ending(error, made):
                    await _to_end(self.store.give_back, claim)
                    if not isinstance(error, PenstockError) or isinstance(error, Unavailable):
                        raise
                    return
                await self._failed(scorer, claim, error, made)
                return
        value = None if isinstance(score.value, str) else float(score.value)
        told = {
            "value": score.value,
            "kind": scorer.scorer.kind,
            "reason": score.reason,
            "details": dict(score.details),
        }
        if await _to_end(self.store.put_score, claim, value, made.cost_usd, told):
            self.done.scored += 1
        self.done.cost_usd += made.cost_usd or 0.0

    async def _asked(self, scorer: Scoring, claim: Claim) -> Score:
        live = await asyncio.to_thread(read_live_trial, self.runs, claim.key.run_id)
        release = await asyncio.to_thread(self.releases, claim.key.release)
        return await scorer.score(live.case, live.trial, release)

    def _is_ending(self, error: BaseException, made: Attempt) -> bool:
        """Whether this says nothing of the run or the scorer: a cancel, what fails for all, a budget now used up."""
        if isinstance(error, NotRedacted):
            return False
        if not isinstance(error, Exception) or isinstance(error, Unavailable):
            return True
        if not made.asked and self.budget.refusal() is not None:
            self.done.stopped = self.budget.refusal()
            return True
        return False

    async def _failed(self, scorer: Scoring, claim: Claim, error: BaseException, made: Attempt) -> None:
        what = str(error) if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
        last = claim.attempts >= len(BACKOFF_S) or isinstance(error, NotRedacted)
        due = None if last else _in_future(BACKOFF_S[claim.attempts])
        await _to_end(self.store.put_failure, claim, what, made.cost_usd, due)
        self.done.failed += 1
        self.done.cost_usd += made.cost_usd or 0.0
        self.done.problems.append(f"{scorer.title}, run {claim.key.run_id}: {what}")
