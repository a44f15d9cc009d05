"""Online scoring on the stored runs of a database, with scorers that do as they are told."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.dataset import Case
from penstock.contracts.eval_suite import EvalSpec
from penstock.contracts.release import Release
from penstock.errors import Unavailable
from penstock.scoring import online
from penstock.scoring.live_trial import read_live_trial
from penstock.scoring.online import OnlinePass, is_sampled, score_online
from penstock.scoring.online_budget import DayBudget
from penstock.scoring.scorer import JudgeDoor, Score, Scored, Scorer, ScorerFailed
from penstock.scoring.trial import Trial
from penstock.store.database import Database, open_database
from penstock.store.run_scores import RunScoreStore, Spent
from penstock.store.runs import RunStore
from penstock.testing.executor_world import make_release

SINCE = "2026-11-20T00:00:00Z"
RELEASE = make_release("clerk", "1.0.0")[0]


def records(run_id: str, status: str = "finished", text: str = "hello", **fields: Any) -> list[dict[str, Any]]:
    """A live run as the spool brings it."""
    error = None if status == "finished" else {"code": "schema", "what": "no", "where": "", "now": ""}
    usage = {"promptTokens": 1, "completionTokens": 1, "costUsd": 0.0, "modelCalls": 1, "toolCalls": 0}
    row = {
        "runId": run_id, "agent": "clerk", "version": "1.0.0", "release": RELEASE.digest, "stage": "prod",
        "mode": "live", "status": status, "tenant": None, "sessionId": None, "runtime": "direct", "traceId": "t",
        "startedAt": "2026-11-20T10:00:00Z", "finishedAt": "2026-11-20T10:00:01Z", "durationMs": 1.0, "ttftMs": None,
        "usage": usage, "error": error,
    }  # fmt: skip
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": text}]
    bodies: dict[str, Any] = {"input": {"text": text}, "messages": messages, "output": text}
    kept = [{"kind": "payload", "runId": run_id, "ref": role, "role": role, "body": b} for role, b in bodies.items()]
    return [{"kind": "run", "run": {**row, **fields}}, *kept]


@dataclass
class Judge:
    """A judge's door that nothing goes through: the scorers below spend on their own."""

    release: Release = RELEASE

    async def ask(self, question: Any) -> Any:
        raise AssertionError("nobody asks")


@dataclass
class Told:
    """A scorer that gives the next of its answers (the last for ever), each for `cost_usd` of the budget."""

    answers: list[Any]
    budget: DayBudget
    title: str = "quality"
    digest: str = "sha256:quality"
    own_files: tuple[str, ...] = ()
    cost_usd: float | None = 0.01
    judge: JudgeDoor | None = field(default_factory=Judge)
    seen: list[tuple[Case, Trial]] = field(default_factory=list)
    hook: Callable[[], Any] | None = None

    @property
    def scorer(self) -> Scorer:
        return Scorer(self.title, _unused, "score", 1, ())

    async def score(self, case: Case, trial: Trial, release: Release, against: Trial | None = None) -> Score:
        self.seen.append((case, trial))
        if self.hook is not None:
            await self.hook()
        self.budget.spend(self.cost_usd)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Score(answer, "because", {"judgeRuns": ["j"]})


def _unused(scored: Scored, **parameters: Any) -> float:
    return 0.0


def suite(share: float = 1.0, cost: float = 5.0, concurrency: int = 1) -> EvalSpec:
    return EvalSpec.model_validate(
        {
            "datasets": ["d"],
            "scorers": [{"scorer": "finished", "name": "quality"}],
            "concurrency": concurrency,
            "online": {"share": share, "scorers": ["quality"], "costUsdPerDay": cost},
        }
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


def with_runs(database: Database, *runs: list[dict[str, Any]]) -> RunScoreStore:
    RunStore(database).ingest([record for run in runs for record in run])
    return RunScoreStore(database)


async def one_pass(database: Database, told: Told, spec: EvalSpec | None = None) -> OnlinePass:
    made = spec or suite()
    return await score_online(database, "clerk", made, [told], told.budget, lambda _: RELEASE, since=SINCE)


def budget(usd: float = 5.0, spent: float = 0.0) -> DayBudget:
    return DayBudget(usd, Spent(spent))


async def test_every_chosen_run_is_scored_once(database: Database) -> None:
    store = with_runs(database, *(records(f"r{n}") for n in range(20)))
    told = Told([0.5], budget())
    done = await one_pass(database, told)
    assert (done.scored, done.failed, done.backlog, done.stopped) == (20, 0, 0, None)
    assert done.cost_usd == done.spent_today_usd == pytest.approx(0.2)
    again = await one_pass(database, told)
    assert (again.scored, len(told.seen)) == (0, 20)
    (kept,) = store.of_run("r7")
    assert (kept.value, kept.identity, kept.document["kind"]) == (0.5, "sha256:quality", "score")
    assert done.coverage[0].as_document() == {
        "scorer": "quality", "sampled": 20, "scored": 20, "waiting": 0, "givenUp": 0, "share": 1.0,
    }  # fmt: skip


async def test_the_share_is_chosen_by_the_id_alone(database: Database) -> None:
    ids = [f"run-{n}" for n in range(400)]
    chosen = {run_id for run_id in ids if is_sampled(run_id, 0.25)}
    assert 70 < len(chosen) < 130
    assert chosen < {run_id for run_id in ids if is_sampled(run_id, 0.5)}
    assert all(is_sampled(run_id, 1.0) for run_id in ids)
    with_runs(database, *(records(run_id) for run_id in ids))
    told = Told([1.0], budget(100))
    assert (await one_pass(database, told, suite(share=0.25))).scored == len(chosen)
    assert {trial.run_id for _, trial in told.seen} == chosen


async def test_only_users_runs_that_say_something_of_the_agent_are_scored(database: Database) -> None:
    away = {"code": "model", "what": "away", "where": "", "now": ""}
    store = with_runs(
        database, records("own-doing", "failed"), records("model-away", "failed", error=away),
        records("tried-out", stage="dev"), records("measured", mode="eval"), records("left", "cancelled"),
        records("gone"), records("other", agent="other"), records("old", startedAt="2026-11-19T10:00:00Z"),
    )  # fmt: skip
    RunStore(database).delete_payloads("gone")
    told = Told([0.0], budget())
    assert (await one_pass(database, told)).scored == 1
    assert [trial.run_id for _, trial in told.seen] == ["own-doing"]
    assert store.of_run("model-away") == []


async def test_nonsense_is_kept_tried_again_and_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = with_runs(database, records("r"))
    told = Told([ScorerFailed("answered 'yes', no number")], budget())
    done = await one_pass(database, told)
    assert (done.failed, done.backlog) == (1, 1)
    assert done.cost_usd == pytest.approx(0.01)
    assert "no number" in done.problems[0]
    assert (await one_pass(database, told)).failed == 0, "not before its time has come"
    monkeypatch.setattr(online, "BACKOFF_S", (-1, -1, -1, -1))
    due = (datetime.now(UTC) - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE run_scores SET due = '{due}'")
    for _ in range(10):
        done = await one_pass(database, told)
    assert len(told.seen) == 5
    assert (done.backlog, done.coverage[0].given_up) == (0, 1)
    (kept,) = store.of_run("r")
    assert len(kept.document["errors"]) == 5
    assert kept.cost_usd == pytest.approx(0.05)


async def test_a_failure_is_mended_by_a_later_attempt(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "BACKOFF_S", (-1,) * 4)
    store = with_runs(database, records("r"))
    told = Told([ValueError("broken"), 0.75], budget())
    assert (await one_pass(database, told)).problems == ["quality, run r: ValueError: broken"]
    assert (await one_pass(database, told)).scored == 1
    (kept,) = store.of_run("r")
    assert (kept.value, kept.document["attempts"], len(kept.document["errors"])) == (0.75, 2, 1)


async def test_the_day_has_a_budget_over_all_passes(database: Database) -> None:
    with_runs(database, *(records(f"r{n}") for n in range(10)))
    told = Told([1.0], budget(0.03))
    done = await one_pass(database, told)
    assert (done.scored, done.backlog) == (3, 7)
    assert done.stopped is not None
    assert "0.03 USD is used up" in done.stopped
    later = Told([1.0], budget(0.03, spent=RunScoreStore(database).spent("clerk", online.midnight()).usd))
    assert (await one_pass(database, later)).scored == 0
    richer = Told([1.0], budget(0.05))
    assert (await one_pass(database, richer)).scored == 2, "what others spent is read from the database"


async def test_overshoot_is_at_most_what_is_in_flight(database: Database) -> None:
    with_runs(database, *(records(f"r{n}") for n in range(30)))
    together = asyncio.Barrier(4)
    told = Told([1.0], budget(0.04), hook=together.wait)
    done = await one_pass(database, told, suite(concurrency=4))
    assert 4 <= done.scored <= 7


async def test_a_judge_without_a_price_is_asked_once(database: Database) -> None:
    with_runs(database, *(records(f"r{n}") for n in range(5)))
    told = Told([1.0], budget(), cost_usd=None)
    done = await one_pass(database, told)
    assert (done.scored, len(told.seen)) == (1, 1)
    assert done.stopped is not None
    assert "price is unknown" in done.stopped
    assert (await one_pass(database, Told([1.0], budget()))).scored == 0, "the database knows of it"


async def test_a_scorer_without_a_judge_needs_no_budget(database: Database) -> None:
    with_runs(database, records("a"), records("b"))
    told = Told([1.0], budget(0.01, spent=1.0), judge=None, cost_usd=0.0)
    assert (await one_pass(database, told)).scored == 2


async def test_two_workers_never_pay_twice(database: Database) -> None:
    with_runs(database, *(records(f"r{n}") for n in range(40)))
    one, two = Told([1.0], budget()), Told([1.0], budget())
    for told in (one, two):
        told.hook = lambda: asyncio.sleep(0)
    both = suite(concurrency=4)
    first, second = await asyncio.gather(one_pass(database, one, both), one_pass(database, two, both))
    assert first.scored + second.scored == len(one.seen) + len(two.seen) == 40


async def test_an_interrupt_keeps_what_is_done_and_gives_back_the_rest(database: Database) -> None:
    store = with_runs(database, *(records(f"r{n}") for n in range(5)))
    reached = asyncio.Event()
    told = Told([1.0], budget())

    async def third_hangs() -> None:
        if len(told.seen) == 3:
            reached.set()
            await asyncio.Event().wait()

    told.hook = third_hangs
    going = asyncio.create_task(one_pass(database, told))
    await reached.wait()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert [state for state, _ in store.states("clerk", "quality", SINCE).values()] == ["scored", "scored"]
    told.hook = None
    assert (await one_pass(database, told)).scored == 3


async def test_what_a_dead_worker_held_is_taken_over_later(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = with_runs(database, records("r"))
    monkeypatch.setattr(RunScoreStore, "put_score", lambda *_: True)  # it dies before it can write
    told = Told([1.0], budget())
    await one_pass(database, told)
    monkeypatch.undo()
    assert (await one_pass(database, told)).backlog == 1, "another worker may still be at it"
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE run_scores SET due = '2026-11-20T00:00:00.000000Z'")
    assert (await one_pass(database, told)).scored == 1
    assert (len(told.seen), store.of_run("r")[0].value) == (2, 1.0)


async def test_what_fails_for_all_ends_the_pass_and_loses_nothing(database: Database) -> None:
    store = with_runs(database, *(records(f"r{n}") for n in range(6)))
    told = Told([1.0, Unavailable("the store is away"), 1.0], budget())
    with pytest.raises(Unavailable, match="the store is away"):
        await one_pass(database, told, suite(concurrency=2))
    assert all(state == "scored" for state, _ in store.states("clerk", "quality", SINCE).values())
    done = await one_pass(database, told)
    assert (done.coverage[0].scored, done.backlog) == (6, 0)


async def test_scorers_see_no_personal_data(database: Database) -> None:
    with_runs(database, records("r", text="write to ada@example.org about order 17"))
    told = Told([1.0], budget())
    await one_pass(database, told)
    ((case, trial),) = told.seen
    assert case.input == {"text": "write to [EMAIL] about order 17"}
    assert trial.output == "write to [EMAIL] about order 17"
    assert (case.has_expected, case.context, trial.status, trial.finished) == (False, None, "finished", True)


def test_what_tools_answered_is_the_context(database: Database) -> None:
    asked = {"scope": "main", "digest": "sha256:d", "n": 1, "door": "tool", "request": {"arguments": {"q": "x"}}}
    entry = {**asked, "response": {"result": {"hits": ["call 0170 1234567"]}}}
    found = {"digest": "sha256:d", "n": 1, "tool": "search", "callId": "c"}
    event = {"id": "e", "runId": "r", "seq": 1, "attempt": 1, "type": "tool.finished", "data": found}
    journal = {"kind": "payload", "runId": "r", "ref": "journal-1", "role": "journal", "body": entry}
    with_runs(database, [*records("r"), journal, {"kind": "event", "event": event}])
    live = read_live_trial(RunStore(database), "r")
    assert live.case.context == [{"hits": ["call [PHONE]"]}]
    assert live.trial.calls[0].result == {"hits": ["call [PHONE]"]}
