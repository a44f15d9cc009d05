"""Writing calls of unknown outcome, in both databases: asked about by id, settled once, whoever is quicker."""

import threading
from typing import Any

import pytest

from penstock.errors import NotFound, PenstockError, WrongUse
from penstock.store.database import Database
from penstock.store.queue import OUTCOME_UNKNOWN, NewRun, RunQueue, Terms
from penstock.store.queue_dead import DeadLetters
from penstock.store.queue_lease import Held, LeaseStore
from penstock.store.runs import RunStore
from penstock.store.unknown_outcomes import Finding, UnknownOutcomes, unknown_calls

ERROR = {"code": OUTCOME_UNKNOWN, "what": "nobody knows", "where": "run r", "now": "look"}
ROUTE = {"release": "sha256:1"}


def event(seq: int, kind: str, **data: Any) -> dict[str, Any]:
    return {"id": f"r-{seq}", "runId": "r", "seq": seq, "attempt": 1, "type": kind, "data": data}


def asked(seq: int, call_id: str) -> dict[str, Any]:
    facts = {"reason": OUTCOME_UNKNOWN, "tool": "order", "idempotencyKey": f"r/{call_id}"}
    return event(seq, "review.requested", callId=call_id, **facts)


def intent(call_id: str) -> dict[str, Any]:
    return {"kind": "intent", "runId": "r", "callId": call_id, "tool": "tools/order@1.0.0"}


def stopped(database: Database, *call_ids: str) -> None:
    """A run that stopped since it does not know what became of these calls."""
    RunQueue(database).accept(NewRun("r", {}, {"user": "max"}), Terms("acme", "clerk"))
    store = LeaseStore(database, "one", 10)
    store.claim(1, 1)
    held = Held("r", 1)
    store.write(held, [intent(one) for one in call_ids], ROUTE)
    told = [{"kind": "event", "event": asked(seq, one)} for seq, one in enumerate(call_ids, 1)]
    store.stop(held, told, ERROR)


def test_the_only_call_needs_no_name_and_goes_on_with_its_result(database: Database) -> None:
    store = UnknownOutcomes(database)
    with pytest.raises(NotFound):
        store.find("r")
    stopped(database, "c1")
    call = store.find("r")
    assert (call.call_id, call.tool, call.idempotency_key, call.release) == ("c1", "order", "r/c1", "sha256:1")
    with pytest.raises(NotFound):
        store.find("r", "c9")
    store.settle(call, Finding("made", "ada", "in the book", {"orderId": 5}))
    [leased] = LeaseStore(database, "two", 10).claim(1, 1)
    assert (leased.row.attempt, leased.row.order["user"], leased.row.error) == (2, "max", None)
    found = RunStore(database).found(leased.row)["c1"]
    assert found.finding == Finding("made", "ada", "in the book", {"orderId": 5})
    assert RunStore(database).intents("r") == ["c1"]
    RunStore(database).delete_payloads("r")
    assert RunStore(database).found(leased.row) == {}
    for late in (lambda: store.find("r"), lambda: store.settle(call, Finding("made", "max", None, {}))):
        with pytest.raises(NotFound):
            late()


def test_of_several_one_is_named_and_a_replay_is_meant_for_all(database: Database) -> None:
    stopped(database, "c1", "c2")
    store = UnknownOutcomes(database)
    with pytest.raises(WrongUse, match=r"c1 \(order\), c2 \(order\)"):
        store.find("r")
    assert store.find("r", "c2").call_id == "c2"
    assert DeadLetters(database).replay("r", "ada") == "r"
    [leased] = LeaseStore(database, "two", 10).claim(1, 1)
    assert {one: found.finding.decision for one, found in RunStore(database).found(leased.row).items()} == {
        "c1": "repeat",
        "c2": "repeat",
    }
    assert RunStore(database).intents("r") == []


def test_of_two_who_settle_at_once_one_is_too_late(database: Database) -> None:
    stopped(database, "c1")
    store, ends = UnknownOutcomes(database), []
    call, begun = store.find("r"), threading.Barrier(4)

    def settle(who: str) -> None:
        begun.wait()
        try:
            store.settle(call, Finding("made", who, None, {"by": who}))
            ends.append(who)
        except PenstockError as error:
            ends.append(error.slug)

    threads = [threading.Thread(target=settle, args=(who,)) for who in ("ada", "ben", "cyd", "dan")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [first] = [one for one in ends if one != "not-found"]
    assert ends.count("not-found") == 3
    [leased] = LeaseStore(database, "two", 10).claim(1, 1)
    finding = RunStore(database).found(leased.row)["c1"].finding
    assert (finding.by, finding.result) == (first, {"by": first})


def test_a_call_is_open_until_it_is_settled_or_ends() -> None:
    decided = event(3, "review.decided", callId="c1", reason=OUTCOME_UNKNOWN)
    allowed = event(4, "review.decided", callId="c2")
    ended = event(5, "tool.finished", callId="c2")
    told = [asked(1, "c1"), asked(2, "c2"), decided, allowed]
    assert list(unknown_calls(told)) == ["c2"]
    assert list(unknown_calls([*told, ended])) == []
    assert list(unknown_calls([*told, asked(6, "c1")])) == ["c2", "c1"]
