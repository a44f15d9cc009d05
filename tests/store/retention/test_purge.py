"""What is older than its retention goes, nothing else does, and a crash anywhere loses nothing."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from penstock.contracts.retention import RetentionRules
from penstock.store import tables
from penstock.store.archive import CONTENTS, FACTS
from penstock.store.archive_check import check_archive
from penstock.store.archiver import Archiver
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.folder import FolderStore
from penstock.store.payload_objects import RUNS, UPLOADS
from penstock.store.purge import Purge
from penstock.store.queue import NewRun, RunQueue, Terms
from penstock.store.retention import Cutoffs, RetentionFigures, plan_purge
from penstock.store.sessions import SessionStore
from penstock.testing.old_runs import OldRuns, event, moment, old_id


def rules(**given: Any) -> RetentionRules:
    return RetentionRules.model_validate(given)


def purge(world: OldRuns, **given: Any) -> RetentionFigures:
    return Purge(world.database, Cutoffs.of(rules(**given))).run()


def plan(world: OldRuns, **given: Any) -> RetentionFigures:
    return plan_purge(world.database, Cutoffs.of(rules(**given)))


def count(world: OldRuns, table: Any) -> int:
    with world.database.read() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_old_runs_go_and_are_read_from_the_archive(world: OldRuns) -> None:
    old = [world.add(days, number, is_large=number == 1) for number, days in enumerate((31, 40, 50))]
    young = world.add(29, 9, is_large=True)
    dead = old_id(60, 5)
    world.store.ingest([event(dead, 1, "run.started")])
    planned = plan(world)
    assert (planned.runs, planned.payload_runs, planned.runs_to_archive, planned.dead_runs) == (3, 3, 3, 1)
    done = purge(world)
    assert (done.runs, done.payload_runs, done.runs_to_archive, done.dead_runs) == (3, 3, 3, 1)
    assert (done.payload_objects, world.objects.of_run(old[1])) == (1, [])
    assert plan(world).as_document() == purge(world).as_document() == RetentionFigures().as_document()
    assert (count(world, tables.runs), count(world, tables.events), count(world, tables.payloads)) == (1, 2, 2)
    for number, run_id in enumerate(old):
        assert world.bodies(run_id) == [{"n": number}, f"output {number}"]
        assert len(world.store.events(run_id)) == 2
    assert world.store.run(dead) is None
    assert len(world.store.events(dead)) == 1
    assert world.bodies(young) == [{"n": 9}, "output 9"]


def test_a_run_that_waits_in_the_queue_is_not_dead(world: OldRuns) -> None:
    waiting = old_id(60, 1)
    RunQueue(world.database).accept(NewRun(waiting, {"n": 1}), Terms(None, "clerk", "async"))
    world.store.ingest([event(waiting, 1, "run.started")])
    assert plan(world).dead_runs == purge(world).dead_runs == 0
    assert (len(world.store.events(waiting)), world.bodies(waiting)) == (1, [{"n": 1}])


def test_what_cannot_be_archived_does_not_go(world: OldRuns) -> None:
    lost, whole = world.add(40, 1, is_large=True), world.add(40, 2)
    world.objects.delete(world.objects.of_run(lost))
    work = Purge(world.database, Cutoffs.of(rules()))
    assert (work.run().runs, len(work.problems)) == (1, 1)
    assert [run["runId"] for run in world.store.runs()] == [lost]
    assert (count(world, tables.payloads), world.bodies(whole)) == (2, [{"n": 2}, "output 2"])


def test_payloads_may_go_before_their_runs(world: OldRuns) -> None:
    run_id = world.add(8, 1, is_large=True)
    done = purge(world, payloads="7d")
    assert (done.runs, done.payload_runs, done.payload_objects) == (0, 1, 1)
    assert count(world, tables.payloads) == 0
    assert world.bodies(run_id) == [{"n": 1}, "output 1"]
    assert purge(world, payloads="7d").as_document() == RetentionFigures().as_document()


def test_without_an_archive_what_goes_is_gone(world: OldRuns) -> None:
    run_id = world.add(40, 1, is_large=True)
    assert plan(world, archive=False).runs_to_archive == 0
    assert purge(world, archive=False).runs == 1
    assert world.store.run(run_id) is None
    assert world.bodies(run_id) == []
    assert not Path(world.settings.archive).exists()


def test_the_archive_has_an_end_too_and_payloads_may_have_an_earlier_one(world: OldRuns) -> None:
    run_id = world.add(100, 1)
    purge(world)
    longer = plan(world, archivedPayloads="90d")
    assert (longer.archived_objects, longer.archived_payload_objects) == (0, 1)
    assert purge(world, archivedPayloads="90d").archived_payload_objects == 1
    assert world.store.run(run_id) is not None
    assert world.bodies(run_id) == []
    assert purge(world, archivedRuns="90d", archivedPayloads="90d").archived_objects == 2
    assert world.store.run(run_id) is None


def test_a_payload_object_stays_while_a_row_claims_it(world: OldRuns) -> None:
    going_on = world.add(40, 1, is_large=True, status="running")
    orphan, young = old_id(40, 2), old_id(2, 3)
    for run_id in (orphan, young):
        world.objects.put(None, run_id, "journal-1", b'"its record never came"')
    assert purge(world).payload_objects == 1
    assert world.bodies(going_on) == [{"n": 1}, "output 1"]
    assert (world.objects.of_run(orphan), len(world.objects.of_run(young))) == ([], 1)


def test_uploads_go_by_whole_days(world: OldRuns) -> None:
    for days in (0, 3):
        world.objects.put("acme", old_id(days, days), "upload", b"1")
    assert plan(world).uploads == 1
    assert purge(world).uploads == 1
    assert len(world.objects.days(UPLOADS)) == 1


def test_messages_of_sessions_go_and_then_the_session(world: OldRuns) -> None:
    sessions = SessionStore(world.database)
    for name in ("old", "new"):
        sessions.pin("acme", "clerk", name, "sha256:a", "1.0.0", "prod")
        sessions.append("acme", "clerk", name, {"role": "user", "content": "one"}, {"role": "user", "content": "two"})
    first = select(tables.session_messages.c.id).where(tables.session_messages.c.session == "new").limit(1)
    with world.database.write() as connection:
        aged = tables.session_messages.update().values(at=moment(100))
        connection.execute(aged.where(tables.session_messages.c.session == "old"))
        connection.execute(aged.where(tables.session_messages.c.id == first.scalar_subquery()))
        connection.execute(tables.sessions.update().values(pinned_at=moment(100)))
    assert plan(world).session_messages == 3
    assert purge(world).session_messages == 3
    assert sessions.get("acme", "clerk", "old") is None
    assert sessions.get("acme", "clerk", "new") is not None
    assert [one["content"] for one in sessions.history("acme", "clerk", "new")] == ["two"]


def test_a_purge_that_is_told_to_stop_goes_on_the_next_time(world: OldRuns) -> None:
    world.add(40, 1)
    answers = iter([True, True, True])
    stopped = Purge(world.database, Cutoffs.of(rules()), lambda: next(answers, False))
    assert stopped.run().runs == 0
    assert count(world, tables.runs) == 1
    assert purge(world).runs == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"payloads": "31d"}, "payloads is longer than runs"),
        ({"archivedPayloads": "366d"}, "archivedPayloads is longer than archivedRuns"),
        ({"runs": "400d"}, "runs is longer than archivedRuns"),
        ({"runs": "1 month"}, "pattern"),
    ],
)
def test_retention_that_contradicts_itself_is_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rules(**given)


class Crash(BaseException):
    """The process dies here; nothing catches it."""


@dataclass
class Crasher:
    """Counts the steps that change something, and dies before the one that is `armed`; 0 = it lives."""

    armed: int = 0
    steps: int = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.armed:
            raise Crash


@pytest.fixture
def crasher(monkeypatch: pytest.MonkeyPatch) -> Crasher:
    made = Crasher()
    monkeypatch.setattr("os.fsync", lambda _: None)  # it is the process that dies, not the machine

    def before(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any) -> Any:
            made.step()
            return change(*arguments)

        return changed

    for name in ("create", "replace_hint", "delete"):
        monkeypatch.setattr(FolderStore, name, before(getattr(FolderStore, name)))
    write = Database.write

    @contextmanager
    def crashing_write(self: Database) -> Iterator[Connection]:
        with write(self) as connection:
            yield connection
            made.step()  # dies before the commit: what was written is undone

    monkeypatch.setattr(Database, "write", crashing_write)
    return made


def test_a_crash_anywhere_loses_nothing_and_the_next_purge_ends_the_work(tmp_path: Path, crasher: Crasher) -> None:
    origin = OldRuns(tmp_path / "origin")
    ids = [origin.add(days, number, is_large=number % 2 == 0) for number, days in enumerate((35, 35, 50))]
    late = origin.add(40, 7)
    deleted = origin.add(35, 8, is_large=True)
    Archiver(origin.database, origin.database.depots.archive).run(moment(38))  # type: ignore[union-attr]
    origin.store.ingest([event(late, 3)])
    with origin.database.write() as connection:
        connection.execute(tables.payload_deletions.insert(), {"run_id": deleted, "at": now(), "has_claims": True})
        connection.execute(tables.payloads.delete().where(tables.payloads.c.run_id == deleted))
    events = {run_id: origin.store.events(run_id) for run_id in (*ids, late, deleted)}
    origin.database.close()
    rounds = 0
    while True:
        rounds += 1
        world = OldRuns(Path(shutil.copytree(tmp_path / "origin", tmp_path / f"round-{rounds}")))
        crasher.steps, crasher.armed = 0, rounds
        try:
            purge(world)
            crashed = False
        except Crash:
            crashed = True
        crasher.armed = 0
        world.reopen()
        for again in (False, True):
            if again:
                purge(world)
            for number, run_id in enumerate(ids):
                assert world.bodies(run_id) == [{"n": number}, f"output {number}"], (rounds, again)
            for run_id, expected in events.items():
                assert world.store.run(run_id) is not None, (rounds, again)
                assert [one["id"] for one in world.store.events(run_id)] == [one["id"] for one in expected]
            assert world.bodies(deleted) == []
        assert count(world, tables.runs) == count(world, tables.events) == count(world, tables.payloads) == 0
        depots = world.database.depots
        assert depots is not None
        assert depots.archive.contents(deleted) == []
        assert world.objects.days(RUNS) == []
        assert check_archive(depots.archive, first_day="", first_contents_day="").problems == []
        assert (len(depots.archive.days(FACTS)), len(depots.archive.days(CONTENTS))) == (3, 3)
        world.database.close()
        if not crashed:
            break
    assert rounds > 20
