"""What the routes answer that FastAPI takes for texts: it cannot see through an answer that is bytes already."""

from collections.abc import Mapping
from typing import Any

Content = dict[str, Any]
_STRING: Content = {"type": "string"}
_NULLABLE: Content = {"type": ["string", "null"]}
_COUNT: Content = {"type": "integer", "minimum": 0}
_UNSEEN: Content = {"type": "string"}
"""The schema that FastAPI writes for an answer that it cannot see."""


def _object(**fields: Any) -> Content:
    """An object that has all of these fields, and maybe others."""
    return {"type": "object", "required": [*fields], "properties": fields}


def _json(schema: Content) -> Content:
    return {"application/json": {"schema": schema}}


def _list(name: str, **more: Any) -> Content:
    """An object whose field `name` is a list of objects."""
    return _json(_object(**{name: {"type": "array", "items": {"type": "object"}}, **more}))


_RUN: Content = {"$ref": "#/components/schemas/RunResult"}
_ASKED = _object(cancel={"const": "requested"})
_STATE = _object(
    ready={"type": "boolean"}, reasons={"type": "array", "items": _STRING}, unsigned={"type": "boolean"},
    generation={"type": ["integer", "null"]}, liveGeneration={"type": ["integer", "null"]}, lineage=_NULLABLE,
    ageS={"type": ["number", "null"]}, problem={"type": ["object", "null"]}, database={"type": ["object", "null"]},
)  # fmt: skip
_BATCH = _object(
    batchId=_STRING, agent=_STRING, lines=_COUNT, status={"enum": ["running", "done"]}, cancelled={"type": "boolean"},
    acceptedAt=_STRING, counts={"type": "object", "additionalProperties": _COUNT}, url=_STRING, results=_STRING,
)  # fmt: skip

ANSWERS: Mapping[str, Content] = {
    "get /v1/runs": _json(_object(runs={"type": "array", "items": _RUN}, next=_NULLABLE)),
    "get /v1/runs/{run_id}": _json(_RUN),
    "get /v1/runs/{run_id}/events": {"text/event-stream": {}},
    "post /v1/runs/{run_id}/cancel": _json(_ASKED),
    "post /v1/runs/{run_id}/feedback": _json(
        _object(runId=_STRING, feedback={"type": "object"}, replaced={"type": "boolean"}, redacted={"type": "object"})
    ),
    "get /v1/sessions/{session_id}": _list("agents", sessionId=_STRING),
    "post /v1/agents/{agent}/batches": _json(
        _object(batchId=_STRING, lines=_COUNT, status={"const": "queued"}, url=_STRING)
    ),
    "get /v1/batches/{batch}": _json(_BATCH),
    "get /v1/batches/{batch}/results": {"application/jsonl": {"schema": _STRING}},
    "post /v1/batches/{batch}/cancel": _json(_object(batchId=_STRING, cancel={"const": "requested"}, runs=_COUNT)),
    "get /healthz": _json(_object(alive={"const": True})),
    "get /readyz": _json(_STATE),
    "get /v1/routes": _json(_STATE),
    "get /v1/agents": _list("agents", generation=_COUNT),
    "get /v1/breakers": _list("breakers"),
    "get /v1/limits": _list("levels", held=_STRING, problem=_NULLABLE),
    "get /v1/catalog": _list("entries"),
    "get /v1/reports/{agent}/{version}/{evidence}/{file}": {"*/*": {}},
    "post /v1/payloads": _json(_object(contextRefId=_STRING, digest=_STRING, bytes=_COUNT)),
    "get /v1/payloads/{ref_id}": _json({}),
    "get /v1/budgets": _list("budgets"),
    "get /v1/cost": _list("rows", since=_STRING, by=_STRING),
    "get /v1/metrics/summary": _json(_object(since=_STRING, totalRequests=_COUNT, byStatus={"type": "object"})),
    "get /v1/alerts": _list("alerts"),
}
"""By method and path; a route that is not named here answers with some JSON object."""


def tell_answers(paths: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes the true answers into an OpenAPI document's `paths`, and the media type of their problems."""
    for path, operations in paths.items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if content.get("application/json", {}).get("schema") == _UNSEEN:
                    response["content"] = ANSWERS.get(f"{method} {path}", _json({"type": "object"}))
                elif status == "503" and not content:
                    response["content"] = _json(_STATE)
