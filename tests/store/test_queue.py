"""The queue in both databases: accepted is stored, leases fence, lanes take turns, keys make one run."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import update

from penstock.errors import Invalid, NotFound
from penstock.store.batches import BatchStore
from penstock.store.database import Database
from penstock.store.idempotency import KEPT_S, IdempotencyKey, purge_keys
from penstock.store.queue import OUTCOME_UNKNOWN, NewRun, RunQueue, Terms
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import Delay, Held, LeasedRun, LeaseLost, LeaseStore
from penstock.store.runs import RunStore
from penstock.store.sessions import SessionStore
from penstock.store.tables_queue import idempotency_keys, queued_runs

ERROR = {"code": "model", "what": "fell over", "where": "model", "now": "ask again"}


def run(number: int, **order: Any) -> NewRun:
    return NewRun(f"r{number:03}", {"n": number}, order)


def accept(database: Database, runs: Sequence[NewRun], terms: Terms | None = None) -> None:
    for one in runs:
        RunQueue(database).accept(one, terms or Terms("acme", "clerk"))


def ids(leased: Sequence[LeasedRun]) -> list[str]:
    return [one.row.run_id for one in leased]


def held(leased: LeasedRun) -> Held:
    return Held(leased.row.run_id, leased.row.attempt)


def summary(run_id: str, status: str) -> dict[str, Any]:
    document = {
        "runId": run_id, "agent": "clerk", "version": "1.0.0", "release": "sha256:1", "stage": "prod", "mode": "live",
        "status": status, "tenant": "acme", "startedAt": "2026-11-20T10:00:00.000000Z", "error": None,
    }  # fmt: skip
    return {"kind": "run", "run": document}


def overdue(database: Database, *run_ids: str) -> None:
    """Lets the time of these rows have come."""
    with database.write() as connection:
        rows = update(queued_runs).where(queued_runs.c.run_id.in_(run_ids))
        connection.execute(rows.values(due="2020-01-01T00:00:00.000000Z"))


def test_what_was_accepted_is_taken_once_in_its_order_with_its_input(database: Database) -> None:
    accept(database, [run(1, user="ada", version=None), run(2), run(3)])
    one, other = LeaseStore(database, "one", 10), LeaseStore(database, "other", 10)
    first = one.claim(2, 2)
    assert ids(first) == ["r001", "r002"]
    assert (first[0].input, first[0].row.order, first[0].row.attempt) == ({"n": 1}, {"user": "ada"}, 1)
    assert ids(other.claim(9, 9)) == ["r003"]
    assert other.claim(9, 9) == []


def test_many_claim_at_once_and_nothing_is_taken_twice(database: Database) -> None:
    accept(database, [run(number) for number in range(40)])
    taken: list[str] = []

    def claim(holder: str) -> None:
        store = LeaseStore(database, holder, 10)
        while found := store.claim(3, 3):
            taken.extend(ids(found))

    threads = [threading.Thread(target=claim, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Counter(taken) == Counter(f"r{number:03}" for number in range(40))


def test_lanes_take_turns_and_batches_come_last(database: Database) -> None:
    batch = Terms("acme", "clerk", "batch", batch="b")
    BatchStore(database).accept("b", [run(number) for number in range(100, 103)], batch)
    accept(database, [run(number) for number in range(4)])
    accept(database, [run(10), run(11)], Terms("other", "clerk"))
    accept(database, [run(20)], Terms("acme", "writer"))
    store = LeaseStore(database, "one", 10)
    assert ids(store.claim(3, 1)) == ["r000", "r010", "r020"]
    accept(database, [run(30)], Terms("late", "clerk"))
    assert ids(store.claim(9, 1)) == ["r001", "r011", "r030", "r002", "r003", "r100"]
    assert ids(store.claim(9, 0)) == []
    assert ids(store.claim(9, 9)) == ["r101", "r102"]


def test_a_lease_that_ran_out_is_taken_over_and_the_late_one_changes_nothing(database: Database) -> None:
    accept(database, [run(1)])
    late_store, store = LeaseStore(database, "late", 10), LeaseStore(database, "new", 10)
    [late] = late_store.claim(1, 1)
    intent = {"kind": "intent", "runId": "r001", "callId": "c_1"}
    late_store.write(held(late), [intent], {"release": "sha256:1"})
    assert store.claim(1, 1) == []
    overdue(database, "r001")
    [taken] = store.claim(1, 1)
    assert (taken.row.attempt, taken.route) == (2, {"release": "sha256:1"})
    assert late_store.renew({"r001": 1}).lost == {"r001"}
    uses: list[Callable[[], None]] = [
        lambda: late_store.end(held(late), [summary("r001", "failed")], "failed", ERROR),
        lambda: late_store.write(held(late), [summary("r001", "failed")], None),
        lambda: late_store.postpone(held(late), [], Delay(0, counts=True, error=ERROR), None),
        lambda: late_store.stop(held(late), [], ERROR),
    ]
    for use in uses:
        with pytest.raises(LeaseLost):
            use()
    assert RunStore(database).run("r001") is None
    assert RunStore(database).intents("r001") == ["c_1"]
    store.end(held(taken), [summary("r001", "finished")], "finished", None)
    stored = RunStore(database).run("r001")
    assert stored is not None
    assert stored["status"] == "finished"
    row = RunQueue(database).get("r001")
    assert row is not None
    assert (row.state, row.status) == ("done", "finished")
    with pytest.raises(LeaseLost):  # the end is final for its own holder too
        store.end(held(taken), [], "failed", ERROR)


def test_a_renewed_lease_stays_and_a_cancel_is_heard(database: Database) -> None:
    accept(database, [run(1), run(2)])
    store = LeaseStore(database, "one", 10)
    store.claim(2, 2)
    overdue(database, "r001", "r002")
    assert store.renew({"r001": 1, "r002": 1}).lost == frozenset()
    assert LeaseStore(database, "other", 10).claim(9, 9) == []
    assert RunQueue(database).cancel("r002")
    assert store.renew({"r001": 1, "r002": 1}).cancelled == {"r002"}
    row = RunQueue(database).get("r002")
    assert row is not None
    assert row.status == "running"


def test_a_cancelled_run_that_waits_is_cancelled_at_once_and_ended_by_the_next(database: Database) -> None:
    accept(database, [run(1)])
    queue = RunQueue(database)
    assert queue.cancel("r001")
    row = queue.get("r001")
    assert row is not None
    assert row.status == "cancelled"
    store = LeaseStore(database, "one", 10)
    [taken] = store.claim(1, 1)
    assert taken.row.cancelled
    store.end(held(taken), [], "cancelled", None)
    assert not queue.cancel("r001")
    assert not queue.cancel("nobody")
    assert DeadLetters(database).rows() == []


def test_a_postponed_run_comes_back_when_it_is_due_and_counts_its_failures(database: Database) -> None:
    accept(database, [run(1)])
    store = LeaseStore(database, "one", 10)
    [first] = store.claim(1, 1)
    store.postpone(held(first), [], Delay(60, counts=True, error=ERROR), None)
    assert store.claim(1, 1) == []
    row = RunQueue(database).get("r001")
    assert row is not None
    assert (row.state, row.status, row.error, row.failures) == ("delayed", "queued", ERROR, 1)
    overdue(database, "r001")
    [second] = store.claim(1, 1)
    assert (second.row.attempt, second.row.failures) == (2, 1)
    store.postpone(held(second), [], Delay(0, counts=False, error=ERROR), None)
    [third] = store.claim(1, 1)
    assert (third.row.attempt, third.row.failures) == (3, 1)


def test_a_turn_of_a_session_stands_or_falls_with_the_end(database: Database) -> None:
    accept(database, [run(1)])
    store = LeaseStore(database, "one", 10)
    [taken] = store.claim(1, 1)
    said = {"role": "user", "content": "hello"}
    turn = {"kind": "turn", "tenant": "acme", "agent": "clerk", "session": "s", "messages": [said]}
    with pytest.raises(LeaseLost):
        store.end(Held("r001", 7), [turn, summary("r001", "finished")], "finished", None)
    assert SessionStore(database).history("acme", "clerk", "s") == []
    store.end(held(taken), [turn, summary("r001", "finished")], "finished", None)
    assert SessionStore(database).history("acme", "clerk", "s") == [said]


def test_a_key_makes_one_run_a_day_for_its_tenant_and_agent(database: Database) -> None:
    queue, terms, key = RunQueue(database), Terms("acme", "clerk"), IdempotencyKey("k", "sha256:1")
    assert queue.bound(terms, key) is None
    assert queue.accept(run(1), terms, key) == "r001"
    assert queue.accept(run(2), terms, key) == "r001"
    assert queue.bound(terms, key) == "r001"
    assert queue.get("r002") is None
    with pytest.raises(Invalid, match="another request"):
        queue.accept(run(3), terms, IdempotencyKey("k", "sha256:2"))
    assert queue.accept(run(4), Terms("other", "clerk"), key) == "r004"
    assert queue.accept(run(5), Terms("acme", "writer"), key) == "r005"
    with database.write() as connection:
        old = update(idempotency_keys).where(idempotency_keys.c.target.in_(("r001", "r005")))
        connection.execute(old.values(created_at="2020-01-01T00:00:00.000000Z"))
    assert queue.bound(terms, key) is None
    assert queue.accept(run(6), terms, key) == "r006"
    assert purge_keys(database) == 1
    assert KEPT_S == 86_400


def test_a_hundred_equal_requests_at_once_make_one_run(database: Database) -> None:
    queue, terms, key = RunQueue(database), Terms("acme", "clerk"), IdempotencyKey("k", "sha256:1")
    answers: list[str] = []

    def ask(start: int) -> None:
        for number in range(start, start + 10):
            answers.append(queue.accept(run(number), terms, key))

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 100, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 100
    assert len(set(answers)) == 1
    assert [depth.runs for depth in queue.depths()] == [1]


def test_a_rejected_run_frees_its_key(database: Database) -> None:
    queue, key = RunQueue(database), IdempotencyKey("k", "sha256:1")
    terms = Terms("acme", "clerk", "sync", 1, holder="one")
    queue.accept(run(1), terms, key)
    store = LeaseStore(database, "one", 10)
    assert store.claim(9, 9) == []  # it is leased from the start
    store.end(Held("r001", 1, has_caller=True), [], "rejected", ERROR)
    row = queue.get("r001")
    assert row is not None
    assert (row.state, row.status) == ("done", "rejected")
    assert queue.accept(run(2), terms, key) == "r002"


def test_a_dead_letter_is_replayed_as_another_run_or_purged(database: Database) -> None:
    accept(database, [run(1, user="ada"), run(2)])
    store, dead = LeaseStore(database, "one", 10), DeadLetters(database)
    for taken in store.claim(2, 2):
        store.end(held(taken), [summary(taken.row.run_id, "failed")], "failed", ERROR)
    assert [(row.run_id, row.status, row.error) for row in dead.rows(agent="clerk")] == [
        ("r002", "failed", ERROR),
        ("r001", "failed", ERROR),
    ]
    assert dead.rows(agent="writer") == []
    again = dead.replay("r001")
    assert again not in ("r001", "r002")
    [taken] = store.claim(9, 9)
    assert (taken.row.run_id, taken.input) == (again, {"n": 1})
    assert taken.row.order == {"user": "ada", "replayOf": "r001"}
    dead.purge("r002")
    assert dead.rows() == []
    for use in (dead.replay, dead.purge):
        with pytest.raises(NotFound):
            use("r001")
    stored = RunStore(database).run("r001")
    assert stored is not None
    assert stored["status"] == "failed"


def test_a_run_with_an_unknown_outcome_goes_on_itself_once_a_person_says_so(database: Database) -> None:
    accept(database, [run(1), run(2)])
    store, dead = LeaseStore(database, "one", 10), DeadLetters(database)
    for taken in store.claim(2, 2):
        store.stop(held(taken), [], {**ERROR, "code": OUTCOME_UNKNOWN})
    assert [row.status for row in dead.rows()] == ["review", "review"]
    assert dead.replay("r001") == "r001"
    [taken] = store.claim(9, 9)
    assert (taken.row.attempt, taken.row.cancelled) == (2, False)
    dead.purge("r002")
    [withdrawn] = store.claim(9, 9)
    assert withdrawn.row.cancelled


def test_a_batch_counts_its_lines_and_lists_them(database: Database) -> None:
    terms, key = Terms("acme", "clerk", "batch", batch="b"), IdempotencyKey("k", "sha256:1")
    store, batches = LeaseStore(database, "one", 10), BatchStore(database)
    runs = [NewRun(f"r{line}", line, {}, line) for line in range(1, 6)]
    assert batches.accept("b", runs, terms, key) == "b"
    assert batches.accept("c", runs, terms, key) == "b"
    first, second, third = store.claim(3, 3)
    store.end(held(first), [summary("r1", "finished"), output("r1", "one")], "finished", None)
    store.end(held(second), [summary("r2", "failed")], "failed", ERROR)
    again = DeadLetters(database).replay("r2")
    batch = batches.get("b")
    assert batch is not None
    assert batch.counts == {"finished": 1, "running": 1, "queued": 3}
    assert not batch.is_done
    lines = list(batches.lines("b"))
    assert [(line.row.line, line.row.run_id, line.output) for line in lines][:2] == [(1, "r1", "one"), (2, again, None)]
    assert lines[0].run is not None
    assert batches.cancel("b") == 4
    assert store.renew({"r3": third.row.attempt}).cancelled == {"r3"}
    store.end(held(third), [], "cancelled", None)
    batch = batches.get("b")
    assert batch is not None
    assert batch.counts == {"finished": 1, "cancelled": 4}
    assert batch.is_done
    assert batches.get("nobody") is None


def test_rows_of_ended_runs_are_forgotten_in_time_and_dead_letters_are_not(database: Database) -> None:
    BatchStore(database).accept("b", [run(1), run(2)], Terms("acme", "clerk", "batch", batch="b"))
    store, dead = LeaseStore(database, "one", 10), DeadLetters(database)
    one, other = store.claim(2, 2)
    store.end(held(one), [], "finished", None)
    store.end(held(other), [], "failed", ERROR)
    assert dead.purge_ended() == 0
    assert dead.purge_ended(kept_s=-60) == 1
    assert [row.run_id for row in dead.rows()] == ["r002"]
    assert BatchStore(database).get("b") is not None


def output(run_id: str, body: str) -> dict[str, Any]:
    return {"kind": "payload", "runId": run_id, "ref": "output", "role": "output", "body": body}
