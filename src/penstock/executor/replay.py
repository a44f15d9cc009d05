"""Replays a stored run from its journal: the same release, on the same or another runtime, asking nobody."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.contracts.model_choice import Complexity
from penstock.engine.assembly import assemble
from penstock.engine.call import RunCall
from penstock.engine.degraded import degraded_before
from penstock.engine.engine import Engine, RunHandle
from penstock.engine.journal import Journal
from penstock.engine.result import RunResult
from penstock.engine.sequence import as_one_attempt
from penstock.engine.sink import NoSink
from penstock.errors import NotFound
from penstock.executor.declarations import read_declarations
from penstock.pal import Message
from penstock.routing.release_cache import ReleaseCache
from penstock.settings import Settings
from penstock.store.objects import open_objects
from penstock.store.releases import ReleaseStore
from penstock.store.runs import RunStore

COMPARED = ("status", "promptTokens", "completionTokens", "costUsd", "modelCalls", "toolCalls")
SHOWN = (*COMPARED, "durationMs", "runtime")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the database has it: what went in, what was called, what came out."""

    row: Mapping[str, Any]
    input: Any
    output: Any
    history: tuple[Message, ...]
    journal: Journal
    events: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The stored run beside its replay; `differences` names what is not the same, durations apart."""

    figures: Mapping[str, tuple[Any, Any]]
    sequence_equal: bool
    output_equal: bool
    error: Mapping[str, Any] | None

    @property
    def differences(self) -> list[str]:
        """What differs: figures by name, `sequence`, `output`."""
        found = [name for name in COMPARED if self.figures[name][0] != self.figures[name][1]]
        found += [] if self.sequence_equal else ["sequence"]
        return found + ([] if self.output_equal else ["output"])

    def as_document(self) -> dict[str, Any]:
        """The comparison as a JSON object."""
        return {
            "figures": {name: {"stored": stored, "replayed": now} for name, (stored, now) in self.figures.items()},
            "sequenceEqual": self.sequence_equal,
            "outputEqual": self.output_equal,
            "differences": self.differences,
            "error": self.error,
        }


def read_stored_run(runs: RunStore, run_id: str) -> StoredRun:
    """The run with its payloads; raises `NotFound` when it is not stored or its payloads were deleted."""
    row = runs.run(run_id)
    if row is None:
        raise NotFound("there is no such run in the database", where=f"run {run_id}", now="`agentctl runs` lists them")
    payloads = runs.payloads(run_id)
    by_role = {payload.role: payload.body for payload in payloads}
    if "input" not in by_role or "messages" not in by_role:
        what = "the run has no payloads: it was rejected before it started, or they were deleted"
        raise NotFound(what, where=f"run {run_id}", now="replay another run")
    return StoredRun(
        row,
        by_role["input"],
        by_role.get("output"),
        tuple(by_role["messages"][1:-1]),
        Journal.from_entries(payload.body for payload in payloads if payload.role == "journal"),
        tuple(runs.events(run_id)),
    )


@contextlib.asynccontextmanager
async def replaying(settings: Settings) -> AsyncIterator[tuple[Engine, ReleaseCache]]:
    """An engine that keeps nothing, and the releases that it can replay."""
    releases = ReleaseCache(settings.cache, ReleaseStore(open_objects(settings.releases)))
    parts = assemble(settings, read_declarations(settings.root), releases.blob, sink=NoSink())
    try:
        yield parts.engine, releases
    finally:
        await parts.close()


def start_replay(engine: Engine, releases: ReleaseCache, stored: StoredRun, runtime: str | None) -> RunHandle:
    """Starts the replay; raises when the release or the runtime cannot be had."""
    release = releases.release(stored.row["release"])
    call = RunCall(
        release=release,
        prompt_body=releases.blob(release.prompt.body),
        runtime=runtime or stored.row["runtime"],
        input=stored.input,
        stage=stored.row["stage"],
        mode="replay",
        tenant=stored.row.get("tenant"),
        user=stored.row.get("user"),
        session_id=stored.row.get("sessionId"),
        history=stored.history,
        journal=stored.journal,
        complexity=_asked_complexity(stored.events),
        degraded=degraded_before(stored.events),
    )
    return engine.start(call)


def compare(stored: StoredRun, result: RunResult, events: Iterable[Mapping[str, Any]]) -> Comparison:
    """Puts the stored run and its replay side by side."""
    before, after = _figures(stored.row), _figures(result.as_document())
    return Comparison(
        {name: (before[name], after[name]) for name in SHOWN},
        _sequence(stored.events) == _sequence(events),
        stored.output == result.output,
        result.error,
    )


def _asked_complexity(events: Iterable[Mapping[str, Any]]) -> Complexity | None:
    """What the run's caller said of the task: all other ways to a complexity lead to the same again."""
    chosen = (event["data"] for event in events if event["type"] == "model.chosen")
    return next((data["complexity"] for data in chosen if data["by"] == "request"), None)


def _figures(run: Mapping[str, Any]) -> dict[str, Any]:
    return {**run["usage"], "status": run["status"], "durationMs": run["durationMs"], "runtime": run["runtime"]}


def _sequence(events: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Which doors were used, in order; tool calls between two model calls as a set, since they may overlap."""
    steps: list[tuple[str, ...]] = []
    tools: list[str] = []
    for event in as_one_attempt(events):
        kind = str(event["type"])
        if kind in {"tool.finished", "tool.failed"}:
            tools.append(f"{kind} {event['data'].get('tool')}")
        elif kind.startswith(("llm.", "run.")) and kind != "llm.retried":  # a replay asks nobody, so nobody twice
            if tools:
                steps.append(tuple(sorted(tools)))
                tools = []
            steps.append((kind,))
    return steps
