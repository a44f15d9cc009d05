"""A stored live run as online scorers look at one: redacted, since whatever they and their judges say is kept."""

from dataclasses import dataclass, replace
from typing import Any

from penstock.contracts.dataset import Case
from penstock.errors import NotFound
from penstock.governance.redaction import redact
from penstock.scoring.recorded_run import recorded_run
from penstock.scoring.trial import ToolCall, Trial
from penstock.store.runs import RunStore


@dataclass(frozen=True, slots=True)
class LiveTrial:
    """The run as a case without expectation, and what it showed.

    The case's context is what the run's tools answered; None where none did.
    """

    case: Case
    trial: Trial


def read_live_trial(runs: RunStore, run_id: str) -> LiveTrial:
    """The run in redacted form.

    Raises `NotFound` for a run that is not stored or has no payloads, `NotRedacted` where redaction fails,
    `Unavailable` without the database.
    """
    recorded = recorded_run(runs, run_id)
    if recorded is None:
        raise NotFound(
            "the run is not stored, or its payloads were deleted", where=f"run {run_id}", now="nothing of it is scored"
        )
    case, trial = recorded.case.case, recorded.trial
    clean: dict[str, Any] = redact(
        {
            "input": case.input,
            "history": case.history,
            "output": trial.output,
            "failure": trial.failure,
            "calls": [call.as_document() for call in trial.calls],
        }
    ).value
    answers = [call["result"] for call in clean["calls"] if call["error"] is None]
    shown = Case(id=run_id, input=clean["input"], context=answers or None, history=clean["history"])
    calls = tuple(ToolCall(**call) for call in clean["calls"])
    return LiveTrial(shown, replace(trial, output=clean["output"], failure=clean["failure"], calls=calls))
