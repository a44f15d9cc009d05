"""Queued runs as their own tenant may see them, where no executor knows more of them."""

from typing import Any

from penstock.store.queue import QueuedRun

QUEUED, RUNNING, REVIEW = "queued", "running", "review"
OPEN = frozenset({QUEUED, RUNNING, REVIEW})
"""Statuses of runs that have not ended. One in review waits for a person."""

_UNKNOWN_YET = ("version", "release", "stage", "runtime", "traceId", "usage", "durationMs", "ttftMs", "output")


def queued_document(row: QueuedRun) -> dict[str, Any]:
    """What the queue alone knows of a run."""
    return {
        "runId": row.run_id,
        "sessionId": row.order.get("sessionId"),
        "status": row.status,
        "agent": row.agent,
        **dict.fromkeys(_UNKNOWN_YET),
        "mode": "live",
        "tenant": row.tenant,
        "attempt": row.attempt,
        "acceptedAt": row.created_at,
        "batch": row.batch,
        "error": row.error,
    }


def with_queue(run: dict[str, Any], row: QueuedRun) -> dict[str, Any]:
    """A run that has begun and not ended, with what the queue knows of it."""
    return {**run, "status": row.status, "attempt": row.attempt, "acceptedAt": row.created_at, "error": row.error}
