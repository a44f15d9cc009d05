import asyncio
import itertools
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from penstock.errors import NotFound, Unavailable
from penstock.scoring import harness
from penstock.scoring.budget import Budget
from penstock.scoring.case_set import EvalCase
from penstock.scoring.harness import Bounds, measure
from penstock.scoring.trial import Trial
from penstock.store.database import open_database
from penstock.store.trials import MemoryTrials, TrialRow, TrialStore
from penstock.testing.fake_subject import FakeSubject, eval_cases, failed_trial, fake_trial


def bounds(repeats: int = 1, concurrency: int = 4, cost_usd: float = 100.0, minutes: float = 10.0) -> Bounds:
    return Bounds(repeats, concurrency, {}, Budget(cost_usd, minutes))


class Heard:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, float, int]] = []
        self.notes: list[str] = []

    def advanced(self, done: int, total: int, cost_usd: float, problems: int) -> None:
        self.steps.append((done, total, round(cost_usd, 6), problems))

    def note(self, text: str) -> None:
        self.notes.append(text)


class Recording(MemoryTrials):
    """Remembers the size of each group, and in which thread it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []
        self.threads: set[str] = set()

    def put(self, rows: Sequence[TrialRow]) -> None:
        self.groups.append(len(rows))
        self.threads.add(threading.current_thread().name)
        super().put(rows)


async def test_every_case_as_often_as_asked_in_the_order_given() -> None:
    subject, cases = FakeSubject(), eval_cases(5)
    measured = await measure(subject, cases, bounds(repeats=3), MemoryTrials())
    assert [(one.key.case, one.key.repeat) for one in measured.trials] == [
        (case.digest, repeat) for case in cases for repeat in range(3)
    ]
    assert subject.asked[0] == ("fake/0", 0)
    assert (measured.made, measured.reused, measured.stopped, measured.problems) == (15, 0, None, [])
    assert [one.output for one in measured.by_case["fake/4"]] == ["said 4"] * 3


async def test_never_more_at_once_than_allowed() -> None:
    subject = FakeSubject()
    await measure(subject, eval_cases(40), bounds(concurrency=7), MemoryTrials())
    assert subject.most == 7


async def test_what_was_made_today_is_not_made_again_and_new_repeats_are() -> None:
    store, cases = MemoryTrials(), eval_cases(4)
    first = await measure(FakeSubject(), cases, bounds(), store)
    again = FakeSubject()
    second = await measure(again, cases, bounds(repeats=2), store)
    assert [repeat for _, repeat in again.asked] == [1] * 4
    assert (second.made, second.reused) == (4, 4)
    assert [one for one in second.trials if one.key.repeat == 0] == first.trials
    fresh = FakeSubject()
    third = await measure(fresh, cases, bounds(), store, fresh=True)
    assert (len(fresh.asked), third.made, third.reused) == (4, 4, 0)


async def test_another_release_finds_nothing() -> None:
    store, cases = MemoryTrials(), eval_cases(2)
    await measure(FakeSubject(), cases, bounds(), store)
    other = FakeSubject(release="sha256:other")
    assert (await measure(other, cases, bounds(), store)).made == 2


@pytest.mark.parametrize(("hours", "made"), [(23.9, 0), (24.1, 3)])
async def test_a_trial_is_reused_for_a_day(hours: float, made: int) -> None:
    store, cases = MemoryTrials(), eval_cases(3)
    at = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    old = FakeSubject(lambda case, repeat: fake_trial(old.key(case, repeat), at=at))
    await measure(old, cases, bounds(), store)
    assert (await measure(FakeSubject(), cases, bounds(), store)).made == made


async def test_equal_cases_of_two_datasets_are_one_run_and_two_cases() -> None:
    one = eval_cases(1)[0]
    twin = EvalCase("other", one.case, one.digest)
    subject = FakeSubject()
    measured = await measure(subject, [one, twin], bounds(), MemoryTrials())
    assert len(subject.asked) == 1
    assert set(measured.by_case) == {"fake/0", "other/0"}


@pytest.mark.parametrize("code", ["model", "runtime", "cancel", "fixture-missing", "replay-miss"])
async def test_a_run_without_evidence_is_a_problem_never_a_row(code: str) -> None:
    store, cases = MemoryTrials(), eval_cases(2)
    subject = FakeSubject(lambda case, repeat: failed_trial(subject.key(case, repeat), code, f"{code}: no"))
    measured = await measure(subject, cases, bounds(), store)
    assert [(one.case, one.repeat, one.what) for one in measured.problems] == [
        ("fake/0", 0, f"{code}: no"),
        ("fake/1", 0, f"{code}: no"),
    ]
    assert (measured.trials, store.trials, measured.stopped) == ([], {}, None)
    assert (await measure(FakeSubject(), cases, bounds(), store)).made == 2


@pytest.mark.parametrize("code", ["limit", "timeout", "schema", "policy", "tool"])
async def test_a_run_that_failed_by_its_own_doing_is_evidence(code: str) -> None:
    store = MemoryTrials()
    subject = FakeSubject(lambda case, repeat: failed_trial(subject.key(case, repeat), code))
    measured = await measure(subject, eval_cases(2), bounds(), store)
    assert (len(measured.trials), measured.problems, len(store.trials)) == (2, [], 2)


async def test_half_of_the_runs_failing_leaves_the_other_half_and_names_each() -> None:
    def answer(case: EvalCase, repeat: int) -> Any:
        if int(case.case.id) % 2:
            return failed_trial(subject.key(case, repeat), "model", "503")
        return "said"

    subject = FakeSubject(answer)
    store = MemoryTrials()
    measured = await measure(subject, eval_cases(20), bounds(), store)
    assert (measured.made, len(measured.problems), len(store.trials)) == (10, 10, 10)
    assert {one.case for one in measured.problems} == {f"fake/{i}" for i in range(1, 20, 2)}
    mended = FakeSubject()
    again = await measure(mended, eval_cases(20), bounds(), store)
    assert (sorted(case for case, _ in mended.asked), again.reused) == (
        sorted(f"fake/{i}" for i in range(1, 20, 2)),
        10,
    )


async def test_what_nobody_foresaw_is_a_problem_of_its_case_alone() -> None:
    def answer(case: EvalCase, _: int) -> Any:
        if case.case.id == "1":
            return KeyError("detail")
        return NotFound("no blob", where="there", now="look") if case.case.id == "2" else "said"

    measured = await measure(FakeSubject(answer), eval_cases(4), bounds(), MemoryTrials())
    told = {one.case: one.what for one in measured.problems}
    assert (measured.made, set(told)) == (2, {"fake/1", "fake/2"})
    assert "KeyError" in told["fake/1"]
    assert "there: no blob" in told["fake/2"]


async def test_an_environment_that_is_gone_ends_it_and_keeps_what_was_made() -> None:
    def answer(case: EvalCase, _: int) -> Any:
        return Unavailable("the spool is full") if case.case.id == "5" else "said"

    store, subject = MemoryTrials(), FakeSubject(answer)
    with pytest.raises(Unavailable, match="spool is full"):
        await measure(subject, eval_cases(100), bounds(concurrency=2), store)
    assert 4 <= len(store.trials) <= 7
    assert len(subject.asked) < 10


async def test_money_stops_the_beginning_of_runs_not_the_runs_in_flight() -> None:
    store, cases = MemoryTrials(), eval_cases(100)
    limits = bounds(concurrency=8, cost_usd=0.2)
    heard = Heard()
    measured = await measure(FakeSubject(), cases, limits, store, progress=heard)
    assert 20 <= measured.made <= 20 + 7
    assert limits.budget.spent_usd <= 0.2 + 7 * 0.01 + 1e-9
    assert measured.stopped is not None
    assert f"{100 - measured.made} of 100 runs of fake@1.0.0 were not made" in measured.stopped
    assert measured.stopped in heard.notes
    assert len(measured.problems) == 100 - measured.made
    assert all("budget of 0.2 USD" in one.what for one in measured.problems)
    rest = await measure(FakeSubject(), cases, bounds(), store)
    assert (rest.made, rest.reused, rest.stopped) == (100 - measured.made, measured.made, None)


async def test_both_sides_share_one_budget() -> None:
    shared = Budget(0.3, 10.0)
    one, other = FakeSubject(), FakeSubject(release="sha256:other")
    each = Bounds(1, 2, {}, shared)
    sides = await asyncio.gather(*(measure(subject, eval_cases(50), each, MemoryTrials()) for subject in (one, other)))
    assert 30 <= sum(side.made for side in sides) <= 34
    assert all(side.stopped for side in sides)


async def test_time_stops_the_beginning_of_runs() -> None:
    moment = itertools.count(0, 10)
    limits = Bounds(1, 1, {}, Budget(100.0, 1.0, clock=lambda: next(moment)))
    measured = await measure(FakeSubject(), eval_cases(50), limits, MemoryTrials())
    assert 0 < measured.made < 8
    assert measured.stopped is not None
    assert "budget of 1 minutes is used up" in measured.stopped


async def test_a_run_without_a_price_is_counted_as_such() -> None:
    limits = bounds()
    subject = FakeSubject(lambda case, repeat: fake_trial(subject.key(case, repeat), cost_usd=None))
    await measure(subject, eval_cases(3), limits, MemoryTrials())
    assert (limits.budget.spent_usd, limits.budget.unpriced) == (0.0, 3)


async def test_rows_are_written_in_groups_by_another_thread() -> None:
    store = Recording()
    await measure(FakeSubject(), eval_cases(400), bounds(concurrency=50), store)
    assert sum(store.groups) == 400
    assert len(store.groups) <= 20
    assert threading.current_thread().name not in store.threads


async def test_a_cancel_keeps_what_is_done_and_ends_what_is_not() -> None:
    held = asyncio.Event()
    reached = asyncio.Event()

    async def answer(case: EvalCase, _: int) -> Any:
        if int(case.case.id) >= 10:
            reached.set()
            await held.wait()
        return "said"

    store, subject = Recording(), FakeSubject(answer)
    task = asyncio.create_task(measure(subject, eval_cases(30), bounds(), store))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (len(store.trials), subject.in_flight) == (10, 0)
    assert subject.cancelled >= 1
    resumed = FakeSubject()
    measured = await measure(resumed, eval_cases(30), bounds(), store)
    assert sorted(int(case.split("/")[1]) for case, _ in resumed.asked) == list(range(10, 30))
    assert (measured.made, measured.reused) == (20, 10)


async def test_a_second_cancel_loses_no_row_either() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(MemoryTrials):
        def put(self, rows: Sequence[TrialRow]) -> None:
            begun.set()
            go_on.wait(10)
            super().put(rows)

    store = Slow()
    task = asyncio.create_task(measure(FakeSubject(), eval_cases(3), bounds(), store))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(store.trials) == 3


async def test_a_full_disk_ends_it_and_what_was_written_is_reused(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    store, cases = TrialStore(database), eval_cases(300)
    await measure(FakeSubject(), cases[:60], bounds(), store)

    @event.listens_for(database.engine, "connect")
    def _fill(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    database.engine.dispose()
    refused = threading.Event()

    class Watched(TrialStore):
        def put(self, rows: Sequence[TrialRow]) -> None:
            try:
                super().put(rows)
            except Unavailable:
                refused.set()
                raise

    async def answer(*_: object) -> str:
        if len(filled.asked) > 100:
            await asyncio.to_thread(refused.wait, 10)
        return "x" * 2_000

    filled = FakeSubject(answer)
    with pytest.raises(Unavailable, match="full"):
        await measure(filled, cases, bounds(concurrency=10), Watched(database))
    assert len(filled.asked) < 240  # it did not go on paying for what cannot be kept
    event.remove(database.engine, "connect", _fill)
    database.engine.dispose()
    after = await measure(FakeSubject(), cases, bounds(), store)
    assert (after.reused, after.made) == (60, 240)
    database.close()


async def test_a_store_that_breaks_in_any_way_ends_it() -> None:
    class Broken(MemoryTrials):
        def put(self, rows: Sequence[TrialRow]) -> None:
            raise TypeError("no JSON")

    subject = FakeSubject(lambda *_: asyncio.sleep(0.02))
    with pytest.raises(TypeError, match="no JSON"):
        await measure(subject, eval_cases(500), bounds(), Broken())
    assert len(subject.asked) < 400


async def test_progress_ends_with_all_and_its_problems() -> None:
    def answer(case: EvalCase, repeat: int) -> Any:
        return failed_trial(subject.key(case, repeat), "model", cost_usd=None) if case.case.id == "0" else "said"

    subject, heard, store = FakeSubject(answer), Heard(), MemoryTrials()
    await measure(subject, eval_cases(5), bounds(), store, progress=heard)
    assert heard.steps[0] == (0, 5, 0.0, 0)
    assert heard.steps[-1] == (5, 5, 0.04, 1)
    again = Heard()
    await measure(subject, eval_cases(5), bounds(), store, progress=again)
    assert again.steps[0][:2] == (4, 5)
    assert any("4 trials" in note for note in again.notes)


async def test_nothing_to_run_is_nothing_measured() -> None:
    measured = await measure(FakeSubject(), [], bounds(), MemoryTrials())
    assert (measured.trials, measured.problems, measured.made, measured.stopped) == ([], [], 0, None)


async def test_parts_join_to_what_the_whole_would_be() -> None:
    cases, store = eval_cases(6), MemoryTrials()
    parts = [await measure(FakeSubject(), some, bounds(repeats=2), store) for some in (cases[:2], cases[2:])]
    whole = await measure(FakeSubject(), cases, bounds(repeats=2), store)
    joined = parts[0].joined(parts[1])
    assert (joined.trials, joined.by_case) == (whole.trials, whole.by_case)
    assert (joined.made, whole.reused) == (12, 12)


async def test_a_trial_comes_back_from_the_database_as_it_was(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    store = TrialStore(database)
    output = {"text": "\U0001f600 \x00", "numbers": [1, 2.5, 1e-9, None, True]}
    measured = await measure(FakeSubject(lambda *_: output), eval_cases(3), bounds(), store)
    found = await measure(FakeSubject(), eval_cases(3), bounds(), store)
    assert found.trials == measured.trials
    assert [one.digest for one in found.trials] == [one.digest for one in measured.trials]
    assert isinstance(found.trials[0], Trial)
    database.close()


def test_the_day_is_what_the_design_says() -> None:
    assert harness.LONGEST_H == 24
