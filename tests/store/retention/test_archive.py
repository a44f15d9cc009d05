"""What is archived is whole, found again by its id alone, and reached by deletion requests."""

from pathlib import Path

import pytest
from sqlalchemy import select, text

from penstock.errors import Unavailable
from penstock.store import tables
from penstock.store.archive import Archive
from penstock.store.archive_check import ArchiveCheck, check_archive
from penstock.store.archiver import Archiver
from penstock.store.clock import now
from penstock.store.erasure import open_erasures
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.objects import StoreMissing
from penstock.store.run_day import day_of
from penstock.testing.old_runs import OldRuns, claimed, event, moment, old_id, payload


def archive(world: OldRuns) -> Archive:
    assert world.database.depots is not None
    return world.database.depots.archive


def archive_all(world: OldRuns) -> int:
    return Archiver(world.database, archive(world)).run(now()).runs


def forget(world: OldRuns, run_id: str) -> None:
    """Takes the run out of the database, as a purge does."""
    with world.database.write() as connection:
        for table in (tables.events, tables.payloads, tables.runs):
            connection.execute(table.delete().where(table.c.run_id == run_id))


def check(world: OldRuns) -> ArchiveCheck:
    return check_archive(archive(world), first_day="", first_contents_day="")


def test_a_run_that_the_database_forgot_is_read_from_the_archive(world: OldRuns) -> None:
    ids = [world.add(days, number, is_large=number % 2 == 0) for number, days in enumerate((3, 3, 5))]
    other = world.add(3, 9, agent="other")
    today = world.add(0, 8)
    before = {run_id: (world.store.run(run_id), world.store.events(run_id), world.bodies(run_id)) for run_id in ids}
    assert archive_all(world) == 4
    assert archive_all(world) == 0
    for run_id in (*ids, other, today):
        forget(world, run_id)
    for run_id in ids:
        assert (world.store.run(run_id), world.store.events(run_id), world.bodies(run_id)) == before[run_id]
    assert [one.role for one in world.store.payloads(ids[0], ("output",))] == ["output"]
    assert [one["seq"] for one in world.store.events(ids[0], after_seq=1)] == [2]
    assert world.store.run(today) is None
    assert world.store.run(old_id(3, 77)) is None
    names = sorted(str(path.relative_to(archive(world).url)) for path in Path(archive(world).url).rglob("*.index.json"))
    assert {tuple(name.split("/")[1:5]) for name in names} == {
        (*day_of(run_id).split("/"), agent)
        for run_id, agent in ((ids[0], "clerk"), (ids[2], "clerk"), (other, "other"))
    }
    assert check(world).as_document() == {"days": 2, "objects": 3, "runs": 4, "deletedContents": 0, "problems": []}


def test_nothing_is_looked_for_on_days_that_were_never_archived(world: OldRuns) -> None:
    run_id = world.add(3, 1)
    archive_all(world)
    root = Path(archive(world).url)
    root.rename(root.with_name("away"))
    assert world.store.run(old_id(30, 1)) is None
    forget(world, run_id)
    world.reopen()
    with pytest.raises(StoreMissing):
        world.store.run(run_id)


def test_a_new_database_finds_an_old_archive(world: OldRuns) -> None:
    run_id = world.add(3, 1)
    archive_all(world)
    forget(world, run_id)
    with world.database.write() as connection:
        connection.execute(tables.archive_days.delete())
    assert world.store.run(run_id) is None
    archive_all(world)
    assert world.store.run(run_id) is not None


def test_a_deletion_request_reaches_the_payload_store_and_the_archive(world: OldRuns) -> None:
    run_id, other = world.add(3, 1, is_large=True), world.add(3, 2, is_large=True)
    archive_all(world)
    assert world.store.delete_payloads(run_id) == 2
    assert open_erasures(world.database) == []
    assert world.bodies(run_id) == []
    assert archive(world).contents(run_id) == []
    assert world.objects.of_run(run_id) == []
    forget(world, run_id)
    assert world.store.run(run_id) is not None
    assert world.bodies(run_id) == []
    assert len(world.bodies(other)) == 2
    assert check(world).as_document()["deletedContents"] == 1
    assert check(world).problems == []


def test_a_deletion_request_that_fails_half_way_stays_open(world: OldRuns) -> None:
    run_id = world.add(3, 1, is_large=True)
    root = Path(world.objects.url)
    root.rename(root.with_name("away"))
    with pytest.raises(Unavailable):
        world.store.delete_payloads(run_id)
    assert world.bodies(run_id) == []
    assert open_erasures(world.database) == [run_id]
    root.with_name("away").rename(root)
    world.store.delete_payloads(run_id)
    assert open_erasures(world.database) == []
    assert world.objects.of_run(run_id) == []


def test_a_request_that_comes_while_its_run_is_archived_is_carried_on(
    world: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = world.add(3, 1)
    put = Archive.put_contents

    def put_late(self: Archive, owner: str, found: list[dict[str, object]]) -> str:
        world.store.delete_payloads(owner)
        return put(self, owner, found)

    monkeypatch.setattr(Archive, "put_contents", put_late)
    archive_all(world)
    assert open_erasures(world.database) == [run_id]
    assert world.bodies(run_id) == []
    world.store.delete_payloads(run_id)
    assert archive(world).contents(run_id) == []


def test_what_comes_while_a_request_is_carried_on_keeps_it_open(
    world: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = world.add(3, 1, is_large=True)
    archive_all(world)
    clear = Archive.erase

    def erase_slowly(self: Archive, owner: str) -> None:
        clear(self, owner)
        world.store.ingest([claimed(world.objects, owner, "journal-1", "late")])

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "erase", erase_slowly)
        world.store.delete_payloads(run_id)
    assert open_erasures(world.database) == [run_id]
    world.store.delete_payloads(run_id)
    assert world.objects.of_run(run_id) == []


def test_what_comes_late_is_archived_too(world: OldRuns) -> None:
    """As from the spool of an executor that died days ago."""
    run_id, gone = world.add(3, 1), world.add(3, 2)
    archive_all(world)
    forget(world, gone)
    late = [event(run_id, 3), payload(run_id, "journal", "late", "journal-1"), event(gone, 3)]
    world.store.ingest(late)
    with world.database.write() as connection:
        connection.execute(tables.payloads.delete().where(tables.payloads.c.role != "journal"))
    assert archive_all(world) == 1
    forget(world, run_id)
    assert [one["seq"] for one in world.store.events(run_id)] == [1, 2, 3]
    assert {one.ref for one in world.store.payloads(run_id)} == {"input", "output", "journal-1"}
    assert check(world).problems == []


def test_late_payloads_of_a_deleted_run_are_not_kept(world: OldRuns) -> None:
    run_id = world.add(3, 1)
    world.store.delete_payloads(run_id)
    world.store.ingest([claimed(world.objects, run_id, "journal-1", "late")])
    assert world.bodies(run_id) == []
    assert open_erasures(world.database) == [run_id]


def test_a_run_whose_payload_is_lost_holds_up_no_other(world: OldRuns) -> None:
    lost, whole = world.add(3, 1, is_large=True), world.add(3, 2)
    world.objects.delete(world.objects.of_run(lost))
    report = Archiver(world.database, archive(world)).run(now())
    assert report.runs == 1
    assert [problem.split()[1] for problem in report.problems] == [f"{lost}:"]
    with world.database.read() as connection:
        marked = connection.scalars(select(tables.runs.c.run_id).where(tables.runs.c.archived_at.is_not(None))).all()
    assert marked == [whole]
    world.store.delete_payloads(lost)
    assert archive_all(world) == 1


def test_words_of_users_are_contents_and_their_ratings_facts(world: OldRuns) -> None:
    run_id = world.add(3, 1)
    word = Feedback(run_id, "clerk", "sha256:a", "prod", -1.0, "ada", {"comment": "too long"})
    FeedbackStore(world.database).put(word)
    archive_all(world)
    found = archive(world).find(run_id)
    assert found is not None
    assert found.facts == {"feedback": [{"at": word.at, "rating": -1.0}]}
    assert archive(world).contents(run_id)[-1] == {"feedback": word.as_document()}


def test_damage_and_loss_are_named(world: OldRuns) -> None:
    first, second = world.add(3, 1), world.add(4, 2)
    third = world.add(5, 3)
    archive_all(world)
    root = Path(archive(world).url)
    (root / f"payloads/{day_of(first)}/{first}.jsonl.gz").unlink()
    (root / f"payloads/{day_of(second)}/{second}.jsonl.gz").write_bytes(b"other")
    [facts] = (root / f"runs/{day_of(third)}").rglob("*.jsonl.gz")
    facts.write_bytes(facts.read_bytes()[:-1])
    problems = check(world).problems
    assert len(problems) == 3
    assert "contents are gone" in next(one for one in problems if first in one)
    assert "not what was written" in next(one for one in problems if second in one)
    forget(world, third)
    world.reopen()
    with pytest.raises(Unavailable, match="not what was written"):
        world.store.run(third)
    assert check_archive(archive(world), first_day="", first_contents_day="9").problems == problems[:1]


def test_unfinished_runs_and_runs_of_today_stay(world: OldRuns) -> None:
    world.add(3, 1, status="running")
    world.add(0, 2)
    assert archive_all(world) == 0
    assert Archiver(world.database, archive(world)).run(moment(10)).runs == 0


def test_events_that_come_between_reading_and_marking_are_not_lost(
    world: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = world.add(3, 1)
    put = Archive.put_facts

    def put_slowly(self: Archive, *arguments: object) -> object:
        world.store.ingest([event(run_id, 3)])
        return put(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "put_facts", put_slowly)
        archive_all(world)
    with world.database.read() as connection:
        assert connection.execute(text("SELECT archived_at FROM runs")).scalar_one() is None
    archive_all(world)
    forget(world, run_id)
    assert [one["seq"] for one in world.store.events(run_id)] == [1, 2, 3]
