"""EngineSubject: a release on a runtime; every trial is a run of the engine in its own right."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from penstock.contracts.canonical import digest, digest_bytes
from penstock.contracts.event import Mode
from penstock.contracts.release import Release
from penstock.engine.call import RunCall
from penstock.engine.engine import RunHandle
from penstock.engine.event_log import now
from penstock.engine.journal import MAIN_SCOPE, Journal
from penstock.engine.result import RunResult
from penstock.engine.sequence import sequence_of
from penstock.errors import LimitReached
from penstock.registry.resolve import Resolved
from penstock.scoring.case_set import EvalCase
from penstock.scoring.trial import ToolCall, Trial, TrialKey

if TYPE_CHECKING:
    from collections.abc import Sequence

Event = Mapping[str, Any]
_ENDS = ("tool.finished", "tool.failed")


class Runner(Protocol):
    """What carries runs out (`scoring.rig.Rig`)."""

    async def start(self, call: RunCall) -> RunHandle:
        """Starts a run once its runtime has a place for it, and gives that back when it is over."""
        ...


class EngineSubject:
    """One release on one runtime, in one mode. `journals` are production's, by `EvalCase.id`, for mode shadow.

    An agent that requires streaming is streamed, as in production: so its time to the first token is measured.
    """

    def __init__(
        self,
        runner: Runner,
        resolved: Resolved,
        runtime: str,
        versions: Mapping[str, Any],
        mode: Mode = "eval",
        journals: Mapping[str, Journal] | None = None,
    ) -> None:
        self.release: Release = resolved.release
        self.runtime = runtime
        self.mode: Mode = mode
        self._runner = runner
        self._body = resolved.blobs[resolved.release.prompt.body]
        self._journals = journals or {}
        self._release_digest = resolved.release.digest
        self._streams = self.release.agent.spec.runtime.requires.streaming
        self._setting = {"runtime": runtime, "versions": dict(versions), "mode": mode}
        self._parameters = digest(self._setting)
        self._parameters_of: dict[str, str] = {}

    @property
    def title(self) -> str:
        """agent@version."""
        return f"{self.release.name}@{self.release.version}"

    @property
    def model(self) -> str:
        """The name of the model that answers by default."""
        pinned = self.release.agent.spec.main_model
        return next(model.name for model in self.release.models if model.ref == pinned)

    def key(self, case: EvalCase, repeat: int) -> TrialKey:
        """By release, case, repeat, and what else a run depends on: runtime, its versions, mode, the case's journal."""
        return TrialKey(self._release_digest, case.digest, repeat, self._parameters_for(case))

    async def run(self, case: EvalCase, repeat: int) -> Trial:
        """One run of the case; a caller that is cancelled takes it along.

        Raises `Unavailable` when the run cannot be recorded, and what keeps it from being started at all.
        """
        call = RunCall(
            release=self.release,
            prompt_body=self._body,
            runtime=self.runtime,
            input=case.case.input,
            mode=self.mode,
            history=tuple(case.case.history),
            fixtures=case.case.fixtures,
            journal=self._journals.get(case.id),
            stream=self._streams,
        )
        handle = await self._runner.start(call)
        result = await handle.result_or_cancel()
        assert handle.journal is not None  # only live runs have none
        return trial_of(self.key(case, repeat), result, handle.past_events, handle.journal)

    def _parameters_for(self, case: EvalCase) -> str:
        journal = self._journals.get(case.id)
        if journal is None:
            return self._parameters
        known = self._parameters_of.get(case.id)
        if known is None:
            known = digest({**self._setting, "journal": digest_bytes(journal.to_jsonl())})
            self._parameters_of[case.id] = known
        return known


def trial_of(key: TrialKey, result: RunResult, events: "Sequence[Event]", journal: Journal) -> Trial:
    """What a run of the engine showed."""
    failure = result.failure.as_document() if result.failure is not None else None
    if failure is not None and isinstance(result.refusal, LimitReached):
        failure["code"] = "runtime"  # a place that others held says nothing of the release
    elif failure is not None and _waited_for_its_model(result, events):
        failure["code"] = "model"  # nor does a provider that refuses calls until the time is over
    return Trial(
        key=key,
        run_id=result.run_id,
        runtime=result.runtime,
        status=result.status,
        output=result.output,
        failure=failure,
        calls=tuple(tool_calls(events, journal)),
        steps=tuple(str(step) for step in sequence_of(events)),
        prompt_tokens=result.usage.prompt_tokens,
        completion_tokens=result.usage.completion_tokens,
        cost_usd=result.usage.cost_usd,
        model_calls=result.usage.model_calls,
        denied=tuple(denials(events)),
        duration_ms=result.duration_ms,
        ttft_ms=result.ttft_ms,
        at=now(),
    )


def tool_calls(events: Iterable[Event], journal: Journal) -> list[ToolCall]:
    """The calls of a run in the order in which they ended, refused ones too, from its events and its journal."""
    asked = _asked(journal)
    calls = []
    for event in events:
        if event["type"] not in _ENDS:
            continue
        data = event["data"]
        entry = journal.find(MAIN_SCOPE, data["digest"], data["n"]) if "digest" in data else None
        arguments = entry.request["arguments"] if entry is not None else asked.get(str(data.get("callId")))
        result = entry.response.get("result") if entry is not None else None
        error = str(data.get("what", "failed")) if event["type"] == "tool.failed" else None
        source = "refused" if data.get("code") == "refused" else data.get("source")
        calls.append(ToolCall(str(data["tool"]), arguments, result if error is None else None, error, source))
    return calls


def denials(events: Iterable[Event]) -> list[str]:
    """What policies denied, as `action resource`, in order."""
    denied = (event["data"] for event in events if event["type"] == "policy.decided")
    return [f"{data['action']} {data['resource']}" for data in denied if not data["allowed"]]


def _waited_for_its_model(result: RunResult, events: Iterable[Event]) -> bool:
    """Whether the run's time ran out over a model call that had to be made again."""
    calls = [event["type"] for event in events if event["type"].startswith("llm.")]
    return result.status == "timed_out" and calls[-1:] == ["llm.retried"]


def _asked(journal: Journal) -> dict[str, Any]:
    """Call id -> arguments as the model gave them; text where they are no JSON."""
    asked: dict[str, Any] = {}
    for entry in journal.entries:
        if entry.door == "model":
            for request in entry.response.get("toolRequests", ()):
                asked[request["id"]] = _parsed(request["arguments"])
    return asked


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text
