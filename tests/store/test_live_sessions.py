from typing import Any

import pytest

from penstock.store.database import Database
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.live_sessions import LiveSessions, SessionRun, Word
from penstock.store.runs import RunStore

SINCE = "2026-11-20T10:00:00Z"
OF = ("clerk", "sha256:a", "canary", SINCE)


def run(run_id: str, status: str = "finished", minute: int = 0, **fields: Any) -> dict[str, Any]:
    row = {
        "runId": run_id, "agent": "clerk", "version": "1.0.0", "release": "sha256:a", "stage": "canary", "mode": "live",
        "status": status, "tenant": "acme", "sessionId": "s", "startedAt": f"2026-11-20T10:{minute:02}:00.000000Z",
        "durationMs": 12.5, "usage": {"costUsd": 0.25, "toolCalls": 3, "toolFailures": 1}, "routedBy": "canary weight",
    }  # fmt: skip
    return {"kind": "run", "run": {**row, **fields}}


@pytest.fixture
def live(database: Database) -> LiveSessions:
    return LiveSessions(database)


def test_runs_come_back_oldest_first_with_what_a_comparison_needs(database: Database, live: LiveSessions) -> None:
    RunStore(database).ingest(
        [
            run("later", "failed", 5, usage={"costUsd": None, "toolCalls": 0}, routedBy=None, tenant=None),
            run("first"),
            run("refused", "rejected", 7, sessionId=None, durationMs=None, usage=None),
        ]
    )
    started = [f"2026-11-20T10:0{minute}:00.000000Z" for minute in (0, 5, 7)]
    assert live.runs(*OF) == [
        SessionRun("first", "finished", started[0], "acme", "s", 12.5, 0.25, "canary weight", 3, 1),
        SessionRun("later", "failed", started[1], "", "s", 12.5, None, None, 0, None),
        SessionRun("refused", "rejected", started[2], "acme", None, None, None, "canary weight", None, None),
    ]


def test_only_live_runs_of_the_release_at_the_stage_since_then_that_are_over(
    database: Database, live: LiveSessions
) -> None:
    others: list[dict[str, Any]] = [
        {"startedAt": "2026-11-20T09:59:59.999999Z"}, {"mode": "shadow"}, {"stage": "prod"}, {"release": "sha256:b"},
        {"agent": "other"}, {"status": "running"}, {"cached": True},
    ]  # fmt: skip
    RunStore(database).ingest([run("r"), *(run(f"other-{at}", **fields) for at, fields in enumerate(others))])
    assert [found.run_id for found in live.runs(*OF)] == ["r"]


def test_a_row_of_an_older_program_says_neither_route_nor_failures(database: Database, live: LiveSessions) -> None:
    old = run("old", usage={"costUsd": 0.1, "toolCalls": 2})
    del old["run"]["routedBy"]
    RunStore(database).ingest([old])
    [found] = live.runs(*OF)
    assert (found.routed_by, found.tool_calls, found.tool_failures) == (None, 2, None)


def test_a_text_about_the_cache_makes_no_run_a_cached_one(database: Database, live: LiveSessions) -> None:
    words = '"cached":true'
    RunStore(database).ingest([run("r", "failed", error={"code": "tool", "what": f"said {words} and {{{words}}}"})])
    assert [found.run_id for found in live.runs(*OF)] == ["r"]
    assert [found.is_cached for found in RunStore(database).live_runs(*OF)] == [False]


def test_many_rows_come_in_one_order(database: Database, live: LiveSessions) -> None:
    rows = [run(f"r{at:04}", minute=at % 50) for at in range(2_500)]
    RunStore(database).ingest(rows)
    found = live.runs(*OF)
    assert len(found) == 2_500
    assert found == sorted(found, key=lambda row: (row.started_at, row.run_id))


def test_words_of_the_release_at_the_stage(database: Database, live: LiveSessions) -> None:
    said = FeedbackStore(database)
    at = ["2026-11-20T09:00:00.000000Z", "2026-11-20T12:00:00.000000Z", "2026-11-20T11:00:00.000000Z"]
    said.put(Feedback("early", "clerk", "sha256:a", "canary", 1, "ada", {}, at[0]))
    said.put(Feedback("r", "clerk", "sha256:a", "canary", -1, "ada", {}, at[1]))
    said.put(Feedback("r", "clerk", "sha256:a", "canary", 0.5, "bob", {}, at[2]))
    said.put(Feedback("r", "clerk", "sha256:a", "prod", 1, "eve", {}, at[2]))
    assert live.words(*OF) == [Word("r", at[2], 0.5), Word("r", at[1], -1)]
