"""Old runs in a project's stores, for tests of what becomes of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from penstock.settings import Settings
from penstock.store.database import Database
from penstock.store.depots import open_project_database
from penstock.store.payload_objects import PayloadObjects
from penstock.store.runs import RunStore


def moment(days_ago: float) -> str:
    """A moment so many days ago, RFC 3339."""
    return (datetime.now(UTC) - timedelta(days=days_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def old_id(days_ago: float, number: int) -> str:
    """A run id (UUID version 7) that was made so many days ago; `number` tells those of one moment apart."""
    at_ms = int((datetime.now(UTC) - timedelta(days=days_ago)).timestamp() * 1000)
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}"


def event(run_id: str, seq: int, type_: str = "llm.finished", **fields: Any) -> dict[str, Any]:
    """A spooled event."""
    head = {"id": f"{run_id}-{seq}", "runId": run_id, "seq": seq, "attempt": 1, "type": type_, "time": moment(0)}
    return {"kind": "event", "event": {**head, "agent": "clerk", "tenant": None, "data": {}, **fields}}


def run_row(run_id: str, days_ago: float, **fields: Any) -> dict[str, Any]:
    """A spooled summary of a run that finished."""
    usage = {
        **dict.fromkeys(("promptTokens", "completionTokens", "totalTokens", "modelCalls", "toolCalls", "steps"), 1),
        "costUsd": 0.25,
    }
    row = {
        "runId": run_id, "agent": "clerk", "version": "1.0.0", "release": "sha256:a", "stage": "prod", "mode": "live",
        "status": "finished", "tenant": None, "user": None, "sessionId": None, "startedAt": moment(days_ago),
        "finishedAt": moment(days_ago), "durationMs": 12.5, "ttftMs": None, "runtime": "direct", "traceId": "0" * 32,
        "error": None, "usage": usage,
    }  # fmt: skip
    return {"kind": "run", "run": {**row, **fields}}


def payload(run_id: str, role: str, body: Any, ref: str | None = None) -> dict[str, Any]:
    """A spooled payload that is small."""
    return {"kind": "payload", "runId": run_id, "ref": ref or role, "role": role, "body": body}


def claimed(objects: PayloadObjects, run_id: str, role: str, body: Any, tenant: str | None = None) -> dict[str, Any]:
    """A spooled payload that is in the payload store."""
    claim = objects.put(tenant, run_id, role, orjson.dumps(body))
    return {"kind": "payload", "runId": run_id, "ref": role, "role": role, "claim": claim.as_document()}


class OldRuns:
    """A project folder with a database; `add` puts an ended run into it."""

    def __init__(self, root: Path, database_url: str = "", **settings: Any) -> None:
        self.settings = Settings(root=root, database_url=database_url, **settings)
        self.database: Database = open_project_database(self.settings)
        self.store = RunStore(self.database)

    @property
    def objects(self) -> PayloadObjects:
        """The payload store."""
        assert self.database.depots is not None
        return self.database.depots.payloads

    def add(self, days_ago: float, number: int, *, is_large: bool = False, **fields: Any) -> str:
        """A run with two events, its input and its output; returns its id."""
        run_id = old_id(days_ago, number)
        agent = {name: value for name, value in fields.items() if name in ("agent", "tenant")}
        output = f"output {number}"
        kept = claimed(self.objects, run_id, "output", output, fields.get("tenant")) if is_large else None
        self.store.ingest(
            [
                event(run_id, 1, "run.started", **agent),
                payload(run_id, "input", {"n": number}),
                kept or payload(run_id, "output", output),
                event(run_id, 2, "run.finished", **agent),
                run_row(run_id, days_ago, **fields),
            ]
        )
        return run_id

    def bodies(self, run_id: str) -> list[Any]:
        """What is readable of a run's payloads."""
        return [one.body for one in self.store.payloads(run_id)]

    def reopen(self) -> None:
        """Forgets everything that a process would have in memory."""
        self.database.close()
        self.database = open_project_database(self.settings)
        self.store = RunStore(self.database)
