from typing import Any

import pytest

from penstock.store.database import Database
from penstock.store.runs import Payload, RunStore


def event(run_id: str, seq: int, type_: str = "llm.started") -> dict[str, Any]:
    return {
        "kind": "event",
        "event": {"id": f"{run_id}-{seq}", "runId": run_id, "seq": seq, "attempt": 1, "type": type_},
    }


def run(run_id: str, status: str = "finished", **fields: Any) -> dict[str, Any]:
    row = {
        "runId": run_id, "agent": "clerk", "version": "1.0.0", "release": "sha256:a", "stage": "canary", "mode": "live",
        "status": status, "tenant": None, "sessionId": "s", "startedAt": "2026-11-20T10:00:00.000000Z",
        "durationMs": 12.5, "usage": {"costUsd": 0.25},
    }  # fmt: skip
    return {"kind": "run", "run": {**row, **fields}}


def payload(run_id: str, ref: str, body: Any, role: str = "journal") -> dict[str, Any]:
    return {"kind": "payload", "runId": run_id, "ref": ref, "role": role, "body": body}


@pytest.fixture
def runs(database: Database) -> RunStore:
    return RunStore(database)


def test_a_run_comes_back_with_its_events_and_payloads(runs: RunStore) -> None:
    body = {"text": "null byte \x00, emoji \U0001f600", "n": 1.5}
    records = [event("r", 2), event("r", 1), run("r"), payload("r", "input", body, "input"), payload("r", "j1", None)]
    intent = {"kind": "intent", "runId": "r", "callId": "c", "idempotencyKey": "k", "tool": "t", "at": "now"}
    runs.ingest([*records, intent])
    runs.ingest([*records, intent])
    assert runs.run("r") == run("r")["run"]
    assert [found["seq"] for found in runs.events("r")] == [1, 2]
    assert [found["seq"] for found in runs.events("r", after_seq=1)] == [2]
    assert runs.payloads("r") == [Payload("input", "input", body), Payload("j1", "journal", None)]
    assert runs.run("other") is None
    assert runs.events("other") == []


def test_a_final_status_stays(runs: RunStore) -> None:
    runs.ingest([run("r", "running")])
    runs.ingest([run("r", "cancelled")])
    runs.ingest([run("r", "finished")])
    found = runs.run("r")
    assert found is not None
    assert found["status"] == "cancelled"


def test_deleted_payloads_do_not_come_back(runs: RunStore) -> None:
    records = [event("r", 1), run("r"), payload("r", "a", "x"), payload("r", "b", "y"), payload("other", "a", "z")]
    runs.ingest(records)
    assert runs.delete_payloads("r") == 2
    runs.ingest(records)
    assert runs.payloads("r") == []
    assert len(runs.payloads("other")) == 1
    assert runs.run("r") is not None
    assert len(runs.events("r")) == 1


def test_runs_are_filtered_newest_first(runs: RunStore) -> None:
    hours = [f"2026-11-20T{hour:02}:00:00.000000Z" for hour in range(6)]
    runs.ingest(
        run(str(number), "failed" if number % 2 else "finished", startedAt=at, agent="a" if number < 4 else "b")
        for number, at in enumerate(hours)
    )
    assert [found["runId"] for found in runs.runs()] == ["5", "4", "3", "2", "1", "0"]
    assert [found["runId"] for found in runs.runs(agent="a", status="failed")] == ["3", "1"]
    assert [found["runId"] for found in runs.runs(since="2026-11-20T05:30:00+01:00", limit=1)] == ["5"]
    assert [found["runId"] for found in runs.runs(since="2026-11-20T04:00:00Z", stage="canary")] == ["5", "4"]
    assert runs.runs(tenant="x") == []


def test_live_runs_are_those_of_mode_live_since_then(runs: RunStore) -> None:
    runs.ingest(
        [
            run("early", startedAt="2026-11-20T09:59:59.999999Z"),
            run("counted", startedAt="2026-11-20T10:00:00.000000Z"),
            run("dry", mode="dry"),
            run("prod", stage="prod"),
            run("other", release="sha256:b"),
            run("unpriced", "failed", startedAt="2026-11-20T11:00:00.000000Z", usage={"costUsd": None}),
            run("going", "running"),
            run("cached", startedAt="2026-11-20T12:00:00.000000Z", cached=True),
        ]
    )
    found = runs.live_runs("clerk", "sha256:a", "canary", "2026-11-20T10:00:00Z")
    assert [(row.run_id, row.status, row.duration_ms, row.cost_usd, row.session_id) for row in found] == [
        ("counted", "finished", 12.5, 0.25, "s"),
        ("unpriced", "failed", 12.5, None, "s"),
        ("cached", "finished", 12.5, 0.25, "s"),
    ]
    assert [row.is_cached for row in found] == [False, False, True]


def test_a_batch_is_taken_in_whole_or_not_at_all(runs: RunStore) -> None:
    with pytest.raises(KeyError):
        runs.ingest([event("r", 1), {"kind": "event", "event": {"id": "x"}}])
    assert runs.events("r") == []
