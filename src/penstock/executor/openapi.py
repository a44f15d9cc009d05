"""What /openapi.json says of the routes that FastAPI cannot see: the start of a run, and the problems of all."""

from typing import Any

from fastapi import FastAPI

from penstock.contracts.model_choice import COMPLEXITIES
from penstock.executor.openapi_answers import tell_answers
from penstock.executor.order import MODES, STAGES
from penstock.executor.problems import MEDIA_TYPE

_STRING: dict[str, Any] = {"type": "string"}
_NULLABLE: dict[str, Any] = {"type": ["string", "null"]}
_NUMBER: dict[str, Any] = {"type": ["number", "null"]}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "what", "where", "now"],
    "properties": {
        "type": {"type": "string", "description": "urn:penstock:problem:..., stable."},
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
        "what": _STRING,
        "where": _STRING,
        "now": {"type": "string", "description": "What to do now."},
        "faults": {"type": "array", "items": {"type": "object"}},
        "runId": _STRING,
        "runStatus": _STRING,
    },
}
ORDER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "oneOf": [{"required": ["input"]}, {"required": ["contextRefId"]}],
    "additionalProperties": False,
    "properties": {
        "input": {"description": "What the agent's input schema says."},
        "contextRefId": {
            "type": "string",
            "description": "A payload that is the input, as POST /v1/payloads named it.",
        },
        "sessionId": {"type": "string", "description": "Runs of one session stay on one release."},
        "version": {"type": "string", "description": "Exactly this version, wherever it stands."},
        "stage": {"enum": [*STAGES], "description": "Exactly this stage; never pins a session."},
        "mode": {"enum": [*MODES], "default": "live"},
        "complexity": {"enum": [*COMPLEXITIES], "description": "Which of the agent's models answers, if it has more."},
    },
}
FEEDBACK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["rating"],
    "additionalProperties": False,
    "properties": {
        "rating": {
            "description": "up = 1, down = -1.",
            "anyOf": [{"enum": ["up", "down"]}, {"type": "number", "minimum": -1, "maximum": 1}],
        },
        "comment": {"type": "string", "minLength": 1, "maxLength": 4000, "description": "Stored redacted."},
        "corrected": {"description": "What the output should have been, at most 64 KiB; stored redacted."},
    },
}
FEEDBACK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Feedback"}}},
    }
}
DECISION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["decision"],
    "additionalProperties": False,
    "properties": {
        "decision": {"enum": ["approve", "reject"]},
        "comment": {"type": "string", "minLength": 1, "maxLength": 4000, "description": "Stored redacted."},
        "arguments": {"type": "object", "description": "In place of the model's; must fit the tool's input schema."},
        "callId": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Where several calls wait."},
    },
}
DECISION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Decision"}}},
    }
}
RESULT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "runId": _STRING,
        "sessionId": _NULLABLE,
        "status": {"enum": ["queued", "running", "review", "finished", "failed", "cancelled", "timed_out", "rejected"]},
        "output": {},
        "error": {"type": ["object", "null"], "description": "code, what, where, now."},
        "usage": {
            "type": ["object", "null"],
            "properties": {
                "promptTokens": {"type": "integer"},
                "completionTokens": {"type": "integer"},
                "totalTokens": {"type": "integer"},
                "costUsd": {**_NUMBER, "description": "null = the price is unknown."},
                "modelCalls": {"type": "integer"},
                "toolCalls": {"type": "integer"},
                "toolFailures": {"type": "integer", "description": "Of toolCalls: those without a result."},
                "steps": {"type": "integer"},
            },
        },
        "cached": {"type": "boolean", "description": "An earlier run's answer; only there if so."},
        "durationMs": _NUMBER,
        "ttftMs": _NUMBER,
        "fallbacks": {"type": "array", "description": "What stood in for a model, a tool or an answer."},
        "contextRefId": {"type": "string", "description": "Where a large input is fetched: GET /v1/payloads/..."},
        "resultRefId": {"type": "string", "description": "Where a large output is fetched."},
        "feedback": {"type": "array", "description": "What users said of it, newest first; only where anybody did."},
        "attempt": {"type": "integer", "description": "Of a queued run: how often executors have taken it."},
        "acceptedAt": {"type": "string", "description": "Of a queued run."},
        **dict.fromkeys(("agent", "mode"), _STRING),
        **dict.fromkeys(("version", "release", "stage", "runtime", "traceId"), _NULLABLE),
    },
}
ACCEPTED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["runId", "status", "url"],
    "properties": {"runId": _STRING, "status": {"enum": ["queued", "running", "review"]}, "url": _STRING},
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "No, and why.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
    "5XX": {
        "description": "No, and why.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}


def describe(app: FastAPI, run_path: str) -> None:
    """Makes the app's OpenAPI document complete."""
    without = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = without()
            tell_answers(document["paths"])
            document["paths"] = {run_path: {"post": _run_operation()}, **document["paths"]}
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas |= {"Problem": PROBLEM_SCHEMA, "RunOrder": ORDER_SCHEMA, "RunResult": RESULT_SCHEMA}
            schemas |= {"Feedback": FEEDBACK_SCHEMA, "Decision": DECISION_SCHEMA}
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def _run_operation() -> dict[str, Any]:
    def header(name: str, description: str) -> dict[str, Any]:
        return {"name": name, "in": "header", "required": False, "schema": _STRING, "description": description}

    return {
        "tags": ["runs"],
        "operationId": "start_run",
        "summary": "Starts a run and answers with its result, or with its events as they come",
        "description": "A client that closes the connection cancels the run.",
        "parameters": [
            {"name": "agent", "in": "path", "required": True, "schema": _STRING},
            {"name": "stream", "in": "query", "required": False, "schema": {"type": "boolean", "default": False}},
            header("X-Penstock-Tenant", "Whose run it is."),
            header("X-Penstock-User", "The person behind the request."),
            header("X-Penstock-Stage", "The same as `stage` in the body."),
            header("Cache-Control", "no-cache or no-store: no earlier answer or result is given, none is kept."),
            header("Prefer", "respond-async: answered with 202 once the run is stored."),
            header("Idempotency-Key", "The same request with the same key makes one run; kept for a day."),
            header("traceparent", "W3C trace context: the run joins this trace. The answer names the run's span."),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RunOrder"}}},
        },
        "responses": {
            "200": {
                "description": "The run finished; with stream=true: its events.",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/RunResult"}},
                    "text/event-stream": {},
                },
            },
            "202": {
                "description": "Accepted and stored, or a run of the same key that goes on; Location is its URL.",
                "content": {"application/json": {"schema": ACCEPTED_SCHEMA}},
            },
            **PROBLEMS,
        },
    }
