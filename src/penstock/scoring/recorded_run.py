"""RecordedRun: a production run as a case that can be run again, with what production answered and called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.contracts.release import Release
from penstock.engine.failure import Failure
from penstock.engine.journal import Journal
from penstock.engine.result import RunResult, RunUsage
from penstock.scoring.case_set import EvalCase
from penstock.scoring.engine_subject import trial_of
from penstock.scoring.trial import Trial, TrialKey
from penstock.store.runs import RunStore

RECORDED = "production"
"""What stands for the dataset in the ids of recorded cases."""
STAGES = ("canary", "prod")
"""Where users are: a live run of stage dev is somebody trying things out."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One production run: its input and history as a case, what it showed, and the journal of its calls."""

    case: EvalCase
    trial: Trial
    journal: Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRuns:
    """A sample of production's runs. `window` is (since, until), RFC 3339.

    `unusable` were sampled too and are left out: their payloads were deleted meanwhile, or they broke by no doing of
    the release (its model was away).
    """

    runs: Sequence[RecordedRun]
    unusable: int
    window: tuple[str, str]

    def window_document(self) -> dict[str, Any]:
        """The window as a JSON object, with what identifies the runs."""
        since, until = self.window
        return {
            "since": since,
            "until": until,
            "runs": digest(sorted(run.trial.run_id for run in self.runs)),
            "unusable": self.unusable,
        }


def sample_runs(
    store: RunStore, release: Release, *, hours: float, limit: int, until: datetime | None = None
) -> RecordedRuns:
    """At most `limit` runs of a release by its users in the `hours` before `until` (default: now).

    The same runs for everybody who asks about the same window. Raises `Unavailable` when the database fails.
    """
    end = until or datetime.now(UTC)
    window = (_written(end - timedelta(hours=hours)), _written(end))
    ids = store.sample(release.name, release.digest, stages=STAGES, since=window[0], until=window[1], limit=limit)
    found = [recorded_run(store, run_id) for run_id in ids]
    usable = [run for run in found if run is not None and run.trial.is_evidence]
    return RecordedRuns(runs=usable, unusable=len(found) - len(usable), window=window)


def recorded_run(store: RunStore, run_id: str) -> RecordedRun | None:
    """The run with that id; None when it is not there, or its payloads are not (any more)."""
    row, payloads = store.run(run_id), store.payloads(run_id)
    bodies = {payload.role: payload.body for payload in payloads}
    if row is None or "input" not in bodies or "messages" not in bodies:
        return None
    # The engine's messages are system, history, user.
    written = {"id": run_id, "input": bodies["input"], "history": bodies["messages"][1:-1]}
    case = Case.model_validate(written)
    journal = Journal.from_entries(payload.body for payload in payloads if payload.role == "journal")
    key = TrialKey(row["release"], digest(written), 0, digest({"runtime": row["runtime"], "mode": "live"}))
    trial = trial_of(key, _result(row, bodies.get("output")), store.events(run_id), journal)
    return RecordedRun(EvalCase(RECORDED, case, key.case), replace(trial, at=row["finishedAt"]), journal)


def _result(row: Mapping[str, Any], output: Any) -> RunResult:
    """The end of the run as its row tells it."""
    usage, error = row["usage"], row["error"]
    return RunResult(
        run_id=row["runId"],
        session_id=row["sessionId"],
        status=row["status"],
        output=output,
        failure=Failure(error["code"], error["what"], error["where"], error["now"]) if error is not None else None,
        usage=RunUsage(
            prompt_tokens=usage["promptTokens"],
            completion_tokens=usage["completionTokens"],
            cost_usd=usage["costUsd"],
            model_calls=usage["modelCalls"],
            tool_calls=usage["toolCalls"],
            tool_failures=usage.get("toolFailures", 0),  # older rows do not say
        ),
        duration_ms=row["durationMs"],
        ttft_ms=row["ttftMs"],
        agent=row["agent"],
        version=row["version"],
        release=row["release"],
        stage=row["stage"],
        runtime=row["runtime"],
        mode=row["mode"],
        trace_id=row["traceId"],
    )


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
