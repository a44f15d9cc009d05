"""Which production runs are taken to be run again: the same ones for everybody, and only those that can be."""

from hashlib import sha256
from typing import Any

import pytest

from penstock.store.database import Database
from penstock.store.runs import RunStore

RELEASE = "sha256:" + "a" * 64
SINCE, UNTIL = "2026-11-20T10:00:00Z", "2026-11-20T12:00:00+00:00"


def run(run_id: str, **fields: Any) -> list[dict[str, Any]]:
    row = {
        "runId": run_id,
        "agent": "echo",
        "version": "1.0.0",
        "release": RELEASE,
        "stage": "prod",
        "mode": "live",
        "status": "finished",
        "startedAt": "2026-11-20T10:30:00.000000Z",
        "usage": {"costUsd": 0.01},
        **fields,
    }
    payload = {"kind": "payload", "runId": run_id, "ref": "input", "role": "input", "body": run_id}
    return [{"kind": "run", "run": row}, payload]


def sampled(store: RunStore, limit: int = 100, stages: tuple[str, ...] = ("canary", "prod")) -> list[str]:
    return store.sample("echo", RELEASE, stages=stages, since=SINCE, until=UNTIL, limit=limit)


@pytest.fixture
def store(database: Database) -> RunStore:
    return RunStore(database)


def test_digests_choose_and_not_time(store: RunStore) -> None:
    ids = [f"run-{number}" for number in range(40)]
    store.ingest([record for run_id in ids for record in run(run_id)])
    by_digest = sorted(ids, key=lambda run_id: sha256(run_id.encode()).digest())
    assert sampled(store) == by_digest
    assert sampled(store, 7) == by_digest[:7]
    store.ingest([record for number in range(40, 50) for record in run(f"run-{number}")])
    assert len(set(sampled(store, 20)) & set(by_digest[:20])) >= 10


def test_only_what_users_sent_to_this_release_and_what_ended_by_itself(store: RunStore) -> None:
    wanted = [{}, {"stage": "canary"}, {"status": "failed"}, {"status": "timed_out"}]
    others = [
        {"stage": "dev"},
        {"mode": "eval"},
        {"mode": "shadow"},
        {"agent": "other"},
        {"release": "sha256:" + "b" * 64},
        {"status": "cancelled"},
        {"status": "rejected"},
        {"status": "running"},
        {"startedAt": "2026-11-20T09:59:59.999999Z"},
        {"startedAt": "2026-11-20T12:00:00.000000Z"},
    ]
    store.ingest([record for number, fields in enumerate(wanted) for record in run(f"yes-{number}", **fields)])
    store.ingest([record for number, fields in enumerate(others) for record in run(f"no-{number}", **fields)])
    assert sorted(sampled(store)) == [f"yes-{number}" for number in range(len(wanted))]
    assert sampled(store, stages=("canary",)) == ["yes-1"]


def test_runs_whose_payloads_were_deleted_are_not_there(store: RunStore) -> None:
    store.ingest([*run("kept"), *run("deleted"), run("never")[0]])
    store.delete_payloads("deleted")
    assert sampled(store) == ["kept"]


def test_no_run_at_all(store: RunStore) -> None:
    assert sampled(store) == []
