from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from penstock.store.database import Database
from penstock.store.run_scores import Claim, LiveRunRow, RunScoreStore, ScoreKey, Spent
from penstock.store.runs import RunStore

SINCE = "2026-11-20T00:00:00Z"
LONG_AGO, FAR_OFF = "2000-01-01T00:00:00.000000Z", "2100-01-01T00:00:00.000000Z"
KEY = ScoreKey("r", "judge", "sha256:s", "clerk", "sha256:a", "prod")


def run(run_id: str, status: str = "finished", **fields: Any) -> dict[str, Any]:
    row = {
        "runId": run_id, "agent": "clerk", "version": "1.0.0", "release": "sha256:a", "stage": "prod", "mode": "live",
        "status": status, "tenant": None, "startedAt": "2026-11-20T10:00:00Z", "durationMs": 1.0, "usage": {},
        "error": None if status == "finished" else {"code": "schema"},
    }  # fmt: skip
    return {"kind": "run", "run": {**row, **fields}}


@pytest.fixture
def kept(database: Database) -> RunScoreStore:
    RunStore(database).ingest([run("r")])
    return RunScoreStore(database)


def claimed(kept: RunScoreStore, until: str = FAR_OFF) -> Claim:
    claim = kept.claim(KEY, until)
    assert claim is not None
    return claim


def test_a_score_is_made_once(kept: RunScoreStore) -> None:
    claim = claimed(kept)
    assert kept.claim(KEY, FAR_OFF) is None
    assert kept.put_score(claim, 0.5, 0.01, {"value": 0.5, "reason": "half"})
    assert kept.claim(KEY, FAR_OFF) is None
    (found,) = kept.scores("clerk", "sha256:a", "prod", SINCE)
    assert (found.state, found.value, found.cost_usd, found.document["reason"]) == ("scored", 0.5, 0.01, "half")
    assert kept.of_run("r") == [found]
    assert kept.states("clerk", "judge", SINCE) == {"r": ("scored", None)}


def test_a_failure_is_tried_again_when_it_is_due_and_its_cost_stays(kept: RunScoreStore) -> None:
    kept.put_failure(claimed(kept), "nonsense", 0.01, LONG_AGO)
    again = claimed(kept)
    assert (again.attempts, again.errors[0]["what"], again.cost_usd) == (1, "nonsense", 0.01)
    kept.put_failure(again, "nonsense again", 0.02, None)
    assert kept.claim(KEY, FAR_OFF) is None
    (found,) = kept.of_run("r")
    assert found.cost_usd == pytest.approx(0.03)
    assert [error["what"] for error in found.document["errors"]] == ["nonsense", "nonsense again"]
    assert kept.spent("clerk", SINCE).usd == pytest.approx(0.03)
    assert kept.spent("clerk", FAR_OFF) == kept.spent("other", SINCE) == Spent(0.0)


def test_an_unknown_cost_is_counted_and_never_zero(kept: RunScoreStore) -> None:
    kept.put_score(claimed(kept), 0.5, None, {"value": 0.5})
    assert kept.spent("clerk", SINCE) == Spent(0.0, unpriced=1)


def test_what_a_dead_worker_had_claimed_is_taken_over_and_its_late_answer_is_dropped(kept: RunScoreStore) -> None:
    dead = claimed(kept, LONG_AGO)
    heir = claimed(kept)
    assert kept.put_score(dead, 0.1, 0.01, {"value": 0.1}) is False
    assert kept.put_score(heir, 0.9, 0.01, {"value": 0.9}) is True
    assert kept.of_run("r")[0].value == 0.9


def test_a_claim_given_back_is_there_for_others(kept: RunScoreStore) -> None:
    kept.give_back(claimed(kept))
    assert kept.of_run("r") == []
    kept.put_failure(claimed(kept), "nonsense", 0.0, LONG_AGO)
    kept.give_back(claimed(kept))
    assert claimed(kept).attempts == 1


def test_of_many_workers_one_gets_the_claim(kept: RunScoreStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = [claim for claim in pool.map(lambda _: kept.claim(KEY, FAR_OFF), range(24)) if claim]
    assert len(won) == 1


def test_runs_that_ended_and_have_payloads_are_listed(kept: RunScoreStore, database: Database) -> None:
    runs = RunStore(database)
    runs.ingest([
        run("failed", "failed", stage="canary"), run("gone"), run("old", startedAt="2026-11-19T10:00:00Z"),
        run("dry", mode="eval"), run("rejected", "rejected"), run("cancelled", "cancelled"), run("other", agent="x"),
    ])  # fmt: skip
    runs.delete_payloads("gone")
    found = kept.ended_runs("clerk", SINCE)
    assert found == [LiveRunRow("failed", "sha256:a", "canary", "schema"), LiveRunRow("r", "sha256:a", "prod", None)]
    assert kept.ended_runs("clerk", SINCE, stage="canary") == found[:1]
    assert kept.ended_runs("clerk", SINCE, release="sha256:b") == []


def test_deleted_payloads_take_the_reasons_along(kept: RunScoreStore, database: Database) -> None:
    kept.put_score(claimed(kept), 0.5, 0.0, {"value": 0.5, "reason": "says 'secret'", "details": {"quote": "secret"}})
    RunStore(database).delete_payloads("r")
    (found,) = kept.of_run("r")
    assert (found.value, dict(found.document)) == (0.5, {"value": 0.5, "attempts": 1})


def test_two_scorers_of_a_run_do_not_meet(kept: RunScoreStore) -> None:
    claimed(kept)
    assert kept.claim(replace(KEY, scorer="other"), FAR_OFF) is not None
