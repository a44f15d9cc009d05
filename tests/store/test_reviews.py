"""Reviews in both databases: a call is decided once, by a person or by the time, and then its run goes on."""

import threading
from typing import Any

import pytest
from sqlalchemy import update

from penstock.errors import Conflict, NotFound, WrongUse
from penstock.store.database import Database
from penstock.store.queue import NewRun, RunQueue, Terms
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import Held, LeaseStore
from penstock.store.reviews import ReviewStore, Word
from penstock.store.tables_queue import queued_runs
from penstock.store.tables_reviews import reviews

YES = Word("approved", "ada", "fine")
NO = Word("rejected", "bob", None)
ERROR = {"code": "review", "what": "a person decides", "where": "run", "now": "decide"}


def question(run_id: str, call_id: str, tenant: str | None = "acme") -> dict[str, Any]:
    facts = {"version": "1.0.0", "release": "sha256:1", "argumentsDigest": "sha256:2", "toolRef": "tools/pay@1.0.0"}
    head = {"kind": "review", "runId": run_id, "callId": call_id, "tenant": tenant, "agent": "clerk", "tool": "pay"}
    return {**head, "expiresMinutes": 5, "facts": {**facts, "onExpiry": "reject", "user": None}}


def asked(database: Database, run_id: str, *call_ids: str, tenant: str | None = "acme") -> None:
    """A run that waits for a person on these calls."""
    RunQueue(database).accept(NewRun(run_id, {"n": 1}), Terms(tenant, "clerk"))
    store = LeaseStore(database, "one", 10)
    [leased] = store.claim(1, 1)
    said = {"kind": "payload", "runId": run_id, "role": "review", "ref": f"review-{call_ids[0]}", "body": {"sum": 5}}
    records = [said, *(question(run_id, call_id, tenant) for call_id in call_ids)]
    store.stop(Held(run_id, leased.row.attempt), records, ERROR)


def status(database: Database, run_id: str = "r1") -> str:
    row = RunQueue(database).get(run_id)
    assert row is not None
    return row.status


def test_a_question_is_its_tenants_and_is_answered_once(database: Database) -> None:
    asked(database, "r1", "c1")
    asked(database, "r2", "c1", tenant=None)
    store = ReviewStore(database)
    assert [one.run_id for one in store.reviews()] == ["r1", "r2"]
    assert [one.run_id for one in store.reviews(tenant="")] == ["r2"]
    [review] = store.reviews(tenant="acme", agent="clerk")
    assert (review.arguments, review.state, review.facts["toolRef"]) == ({"sum": 5}, "open", "tools/pay@1.0.0")
    assert review.expires_at > review.created_at
    assert {one.state for one in RunQueue(database).depths()} == {"review"}
    assert DeadLetters(database).rows() == []
    with pytest.raises(NotFound):
        store.find("r1", None, "other")
    decided = store.decide("r1", "c1", YES)
    assert (decided.state, decided.decided_by, decided.comment, status(database)) == (
        "approved",
        "ada",
        "fine",
        "queued",
    )
    with pytest.raises(Conflict, match="approved by ada"):
        store.decide("r1", "c1", NO)
    [decision] = store.decisions("r1")
    assert (decision.outcome, decision.by, decision.arguments) == ("approved", "ada", None)
    assert store.decisions("r2") == []


def test_a_run_with_two_questions_goes_on_once_both_are_answered_at_once(database: Database) -> None:
    asked(database, "r1", "c1", "c2")
    store = ReviewStore(database)
    with pytest.raises(WrongUse, match="2 calls wait"):
        store.find("r1", None, "acme")
    ready, refused = threading.Barrier(4), []

    def decide(call_id: str, word: Word) -> None:
        ready.wait(10)
        try:
            store.decide("r1", call_id, word)
        except Conflict:
            refused.append(call_id)

    threads = [threading.Thread(target=decide, args=(call, word)) for call in ("c1", "c2") for word in (YES, NO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(refused) == ["c1", "c2"]
    assert status(database) == "queued"
    [again] = LeaseStore(database, "two", 10).claim(5, 5)
    assert (again.row.attempt, len(store.decisions("r1"))) == (2, 2)


def test_edited_arguments_are_kept_with_the_decision(database: Database) -> None:
    asked(database, "r1", "c1")
    store = ReviewStore(database)
    store.decide("r1", "c1", Word("approved", "ada", None, {"sum": 4}))
    assert store.decisions("r1")[0].arguments == {"sum": 4}
    assert store.find("r1", "c1", None).arguments == {"sum": 5}


def test_what_nobody_answers_expires_by_the_databases_clock(database: Database) -> None:
    asked(database, "r1", "c1", "c2")
    store = ReviewStore(database)
    assert store.expire() == 0
    _over(database, "c1")
    with pytest.raises(Conflict, match="expired"):
        store.decide("r1", "c1", YES)
    assert store.expire() == 1
    with pytest.raises(Conflict, match="expired"):
        store.decide("r1", "c1", YES)
    assert status(database) == "review"
    _over(database, "c2")
    assert (store.expire(), store.expire(), status(database)) == (1, 0, "queued")
    assert {(one.outcome, one.by) for one in store.decisions("r1")} == {("expired", None)}


def test_a_run_that_does_not_wait_any_more_takes_no_answer(database: Database) -> None:
    asked(database, "r1", "c1")
    store = ReviewStore(database)
    assert RunQueue(database).cancel("r1")
    assert store.reviews() == []
    with pytest.raises(Conflict, match="does not wait"):
        store.decide("r1", "c1", YES)
    _over(database, "c1")
    assert store.expire() == 1
    assert status(database) == "cancelled"


def test_a_run_whose_questions_all_expired_before_it_stopped_goes_on(database: Database) -> None:
    RunQueue(database).accept(NewRun("r1", {"n": 1}), Terms("acme", "clerk"))
    store = LeaseStore(database, "one", 10)
    [leased] = store.claim(1, 1)
    lease = Held("r1", leased.row.attempt)
    store.write(lease, [question("r1", "c1")], None)
    with pytest.raises(Conflict, match="does not wait"):
        ReviewStore(database).decide("r1", "c1", YES)
    _over(database, "c1")
    assert (ReviewStore(database).expire(), status(database)) == (1, "running")
    store.stop(lease, [], ERROR)
    assert status(database) == "queued"


def test_reviews_go_with_their_runs(database: Database) -> None:
    asked(database, "r1", "c1")
    store = ReviewStore(database)
    assert store.purge() == 0
    with database.write() as connection:
        connection.execute(queued_runs.delete())
    assert (store.purge(), store.reviews(state=None)) == (1, [])


def _over(database: Database, call_id: str) -> None:
    with database.write() as connection:
        row = update(reviews).where(reviews.c.call_id == call_id)
        connection.execute(row.values(expires_at="2020-01-01T00:00:00.000000Z"))
