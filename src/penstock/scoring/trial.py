"""Trial: one run of one release on one case, with everything that scorers, diffs and reports look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.contracts.canonical import digest

# A run that ended so says nothing of the release: there is no evidence, and a retry may give it.
ENVIRONMENT = frozenset({"model", "runtime", "cancel", "fixture-missing", "replay-miss", "unavailable"})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a trajectory, in the order in which calls ended; `error` is why the tool gave no result.

    `source` is where the answer came from (tool, journal, fixture, example); `refused` = a shadow run would have
    written; None where the call did not get that far.
    """

    name: str
    arguments: Any
    result: Any = None
    error: str | None = None
    source: str | None = None

    def as_document(self) -> dict[str, Any]:
        """The call as a JSON object."""
        return {
            "name": self.name,
            "arguments": self.arguments,
            "result": self.result,
            "error": self.error,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class TrialKey:
    """What makes two trials the same measurement.

    `release` and `case` are digests, `parameters` a digest of all else that a run depends on (runtime and adapter
    versions, mode). `repeat` counts from 0.
    """

    release: str
    case: str
    repeat: int
    parameters: str

    @property
    def digest(self) -> str:
        """The key under which a trial is kept."""
        return digest([self.release, self.case, self.repeat, self.parameters])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one run showed.

    `status` is a run's; `failure` is {code, what, where, now} of a run that did not finish. `steps` is the event
    sequence in its settled order (`llm.finished`, `tool.finished:search`). `cost_usd` None = the price is unknown.
    Durations are in milliseconds; `ttft_ms` None = nothing was streamed or the runtime does not say.
    """

    key: TrialKey
    run_id: str
    runtime: str
    status: str
    output: Any
    failure: Mapping[str, Any] | None
    calls: tuple[ToolCall, ...] = ()
    steps: tuple[str, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    model_calls: int = 0
    denied: tuple[str, ...] = field(default=())
    duration_ms: float = 0.0
    ttft_ms: float | None = None
    at: str = ""

    @property
    def finished(self) -> bool:
        """Whether the run reached its output."""
        return self.status == "finished"

    @property
    def is_evidence(self) -> bool:
        """Whether the run says something of the release: it finished, or failed by its own doing."""
        return self.finished or (self.failure is not None and self.failure.get("code") not in ENVIRONMENT)

    @property
    def digest(self) -> str:
        """Of everything that a scorer may look at."""
        document = self.as_document()
        for name in ("runId", "at"):
            del document[name]
        return digest(document)

    def as_document(self) -> dict[str, Any]:
        """The trial as a JSON object."""
        return {
            "release": self.key.release,
            "case": self.key.case,
            "repeat": self.key.repeat,
            "parameters": self.key.parameters,
            "runId": self.run_id,
            "runtime": self.runtime,
            "status": self.status,
            "output": self.output,
            "failure": dict(self.failure) if self.failure is not None else None,
            "calls": [call.as_document() for call in self.calls],
            "steps": list(self.steps),
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "costUsd": self.cost_usd,
            "modelCalls": self.model_calls,
            "denied": list(self.denied),
            "durationMs": self.duration_ms,
            "ttftMs": self.ttft_ms,
            "at": self.at,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Trial":
        """Reads what `as_document` wrote."""
        key = TrialKey(document["release"], document["case"], int(document["repeat"]), document["parameters"])
        return cls(
            key=key,
            run_id=document["runId"],
            runtime=document["runtime"],
            status=document["status"],
            output=document["output"],
            failure=document["failure"],
            calls=tuple(
                ToolCall(c["name"], c["arguments"], c["result"], c["error"], c.get("source")) for c in document["calls"]
            ),
            steps=tuple(document["steps"]),
            prompt_tokens=int(document["promptTokens"]),
            completion_tokens=int(document["completionTokens"]),
            cost_usd=document["costUsd"],
            model_calls=int(document["modelCalls"]),
            denied=tuple(document["denied"]),
            duration_ms=float(document["durationMs"]),
            ttft_ms=document["ttftMs"],
            at=document["at"],
        )
