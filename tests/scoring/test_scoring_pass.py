import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.dataset import Case
from penstock.contracts.release import Release
from penstock.errors import Unavailable
from penstock.scoring.budget import Budget
from penstock.scoring.harness import Bounds, Measured, measure, score_all
from penstock.scoring.scorer import JudgeAnswer, JudgeDoor, Score, Scored, Scorer, ScorerFailed
from penstock.scoring.trial import Trial
from penstock.store.trials import MemoryTrials
from penstock.testing.example_release import example_release
from penstock.testing.fake_subject import FakeSubject, eval_cases

RELEASE = example_release()[0]


class Looking:
    """A scorer that looks by a function, and counts."""

    def __init__(
        self,
        look: Callable[[Case, Trial, Trial | None], Any],
        *,
        title: str = "looking",
        digest: str = "sha256:1",
        pairwise: bool = False,
        judge: JudgeDoor | None = None,
        own_files: tuple[str, ...] = (),
    ) -> None:
        self.title, self.digest, self.judge, self.own_files = title, digest, judge, own_files
        self.scorer = Scorer(title, _never, "score", 1, {"pairwise"} if pairwise else ())
        self.seen: list[tuple[str, int]] = []
        self._look = look

    async def score(self, case: Case, trial: Trial, release: Release, against: Trial | None = None) -> Score:
        self.seen.append((case.id, trial.key.repeat))
        found = self._look(case, trial, against)
        if asyncio.iscoroutine(found):
            found = await found
        return found if isinstance(found, Score) else Score(found)


def _never(scored: Scored, **_: Any) -> float:
    raise AssertionError("asked past its parameters")


class Judge:
    """A judge that nobody bounds."""

    release = RELEASE

    async def ask(self, question: Any) -> JudgeAnswer:
        return JudgeAnswer("good", 0.0, "run", "fake/judge")


def bounds(cost_usd: float = 100.0, concurrency: int = 4) -> Bounds:
    return Bounds(2, concurrency, {}, Budget(cost_usd, 10.0))


async def measured_of(count: int, release: str = "sha256:fake", store: MemoryTrials | None = None) -> Measured:
    return await measure(FakeSubject(release=release), eval_cases(count), bounds(), store or MemoryTrials())


async def test_every_scorer_sees_every_trial_in_order() -> None:
    measured, cases = await measured_of(3), eval_cases(3)
    one = Looking(lambda case, trial, _: Score(0.5, f"saw {trial.output}", {"n": 1}), title="one")
    two = Looking(lambda *_: True, title="two", digest="sha256:2")
    scores = await score_all(measured, cases, [one, two], RELEASE, bounds(), MemoryTrials())
    assert [(row.title, row.case, row.repeat) for row in scores.rows] == [
        (title, f"fake/{i}", repeat) for i in range(3) for repeat in range(2) for title in ("one", "two")
    ]
    assert scores.rows[0].score == Score(0.5, "saw said 0", {"n": 1})
    assert (scores.made, scores.reused, scores.problems, scores.stopped) == (12, 0, [], None)


async def test_a_known_score_is_not_made_again_and_comes_back_as_it_was() -> None:
    measured, cases, store = await measured_of(2), eval_cases(2), MemoryTrials()
    values: list[Any] = [True, 0.25, "word", 1]
    for number, value in enumerate(values):
        scorer = Looking(lambda *_, value=value: Score(value, "why", {"a": [1]}, 0.01), digest=f"sha256:{number}")
        first = await score_all(measured, cases, [scorer], RELEASE, bounds(), store)
        again = await score_all(measured, cases, [scorer], RELEASE, bounds(), store)
        assert len(scorer.seen) == 4
        assert (again.rows, again.made, again.reused) == (first.rows, 0, 4)
        assert type(again.rows[0].score.value) is type(value)


async def test_a_changed_scorer_scores_again_and_runs_nothing() -> None:
    store, cases = MemoryTrials(), eval_cases(3)
    subject = FakeSubject()
    measured = await measure(subject, cases, bounds(), store)
    await score_all(measured, cases, [Looking(lambda *_: 1.0)], RELEASE, bounds(), store)
    changed = Looking(lambda *_: 0.0, digest="sha256:changed")
    found = await measure(subject, cases, bounds(), store)
    scores = await score_all(found, cases, [changed], RELEASE, bounds(), store)
    assert (len(subject.asked), len(changed.seen), scores.made) == (6, 6, 6)


async def test_another_output_of_the_same_case_is_scored_anew() -> None:
    store, cases = MemoryTrials(), eval_cases(1)
    scorer = Looking(lambda *_: 1.0)
    for output in ("a", "b", "a"):
        measured = await measure(FakeSubject(lambda *_, said=output: said), cases, bounds(), MemoryTrials())
        await score_all(measured, cases, [scorer], RELEASE, bounds(), store)
    assert len(scorer.seen) == 4  # two outputs, two repeats each; the third measure brings nothing new


async def test_a_scorer_that_cannot_say_is_a_problem_of_that_score_alone() -> None:
    def look(case: Case, trial: Trial, _: Trial | None) -> Any:
        if case.id == "0":
            raise ScorerFailed("gave NaN", where="evals/own.py", now="mend it")
        if case.id == "1":
            raise ZeroDivisionError("by zero")
        return 1.0

    measured, cases, store = await measured_of(3), eval_cases(3), MemoryTrials()
    scores = await score_all(measured, cases, [Looking(look)], RELEASE, bounds(), store)
    assert [(row.case, row.score.value) for row in scores.rows] == [("fake/2", 1.0)] * 2
    assert {(one.case, one.repeat) for one in scores.problems} == {
        ("fake/0", 0),
        ("fake/0", 1),
        ("fake/1", 0),
        ("fake/1", 1),
    }
    told = {one.case: (one.what, one.scorer) for one in scores.problems}
    assert "looking: evals/own.py: gave NaN" in told["fake/0"][0]
    assert "ZeroDivisionError" in told["fake/1"][0]
    assert told["fake/0"][1] == "looking"
    assert len(store.scores) == 2


async def test_a_pairwise_scorer_sees_production_and_is_known_by_both() -> None:
    cases, store = eval_cases(2), MemoryTrials()
    candidate, production = await measured_of(2), await measured_of(2, "sha256:prod")
    pairwise = Looking(
        lambda _, trial, other: float(other is not None and other.key.repeat == trial.key.repeat), pairwise=True
    )
    plain = Looking(lambda _, __, other: float(other is None), title="plain", digest="sha256:plain")
    scores = await score_all(candidate, cases, [pairwise, plain], RELEASE, bounds(), store, against=production)
    assert [row.score.value for row in scores.rows] == [1.0] * 8
    other = await measure(FakeSubject(lambda *_: "changed", release="sha256:next"), cases, bounds(), MemoryTrials())
    again = await score_all(candidate, cases, [pairwise, plain], RELEASE, bounds(), store, against=other)
    assert (again.made, again.reused) == (4, 4)


async def test_a_missing_trial_has_no_score() -> None:
    measured = await measured_of(2)
    del measured.by_case["fake/1"]
    scores = await score_all(measured, eval_cases(2), [Looking(lambda *_: 1.0)], RELEASE, bounds(), MemoryTrials())
    assert {row.case for row in scores.rows} == {"fake/0"}


async def test_without_money_only_those_that_ask_a_judge_are_left_out() -> None:
    measured, cases = await measured_of(2), eval_cases(2)
    limits = bounds(cost_usd=0.01)
    limits.budget.spend(0.02)
    asks = Looking(lambda *_: 1.0, title="asks", digest="sha256:asks", judge=Judge())
    free = Looking(lambda *_: 1.0, title="free", digest="sha256:free")
    scores = await score_all(measured, cases, [asks, free], RELEASE, limits, MemoryTrials())
    assert {row.title for row in scores.rows} == {"free"}
    assert (asks.seen, len(scores.problems)) == ([], 4)
    assert scores.stopped is not None
    assert "4 of 8 scores were not made" in scores.stopped


async def test_without_time_own_code_is_left_out_too_for_it_may_hang() -> None:
    measured, cases = await measured_of(2), eval_cases(2)
    moments = iter([0.0])
    budget = Budget(1.0, 1.0, clock=lambda: next(moments, 61.0))
    own = Looking(lambda *_: 1.0, title="own", digest="sha256:own", own_files=("sha256:file",))
    free = Looking(lambda *_: 1.0, title="free", digest="sha256:free")
    limits = Bounds(1, 4, {}, budget)
    scores = await score_all(measured, cases, [own, free], RELEASE, limits, MemoryTrials())
    assert {row.title for row in scores.rows} == {"free"}
    assert (own.seen, scores.stopped) == ([], "the budget of 1 minutes is used up: 4 of 8 scores were not made")


async def test_an_environment_that_is_gone_ends_it() -> None:
    def look(case: Case, *_: Any) -> float:
        if case.id == "1":
            raise Unavailable("no room for a worker")
        return 1.0

    store = MemoryTrials()
    with pytest.raises(Unavailable, match="no room"):
        await score_all(await measured_of(50), eval_cases(50), [Looking(look)], RELEASE, bounds(), store)
    assert 1 <= len(store.scores) < 10


async def test_a_cancel_keeps_the_scores_that_are_made() -> None:
    reached, held = asyncio.Event(), asyncio.Event()

    def look(case: Case, *_: Any) -> Any:
        async def wait() -> float:
            reached.set()
            await held.wait()
            return 1.0

        return wait() if case.id == "5" else 1.0

    store, cases = MemoryTrials(), eval_cases(20)
    measured = await measured_of(20)
    work = score_all(measured, cases, [Looking(look)], RELEASE, bounds(concurrency=1), store)
    task = asyncio.create_task(work)
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(store.scores) == 10
    again = Looking(lambda *_: 1.0)
    scores = await score_all(measured, cases, [again], RELEASE, bounds(), store)
    assert (scores.reused, len(again.seen)) == (10, 30)


async def test_scores_of_parts_join() -> None:
    cases, measured = eval_cases(4), await measured_of(4)
    scorer = Looking(lambda *_: 1.0)
    parts = [
        await score_all(measured, some, [scorer], RELEASE, bounds(), MemoryTrials()) for some in (cases[:1], cases[1:])
    ]
    joined = parts[0].joined(parts[1])
    assert ([row.case for row in joined.rows], joined.made) == ([f"fake/{i}" for i in range(4) for _ in "ab"], 8)
