"""One side of a case as reports show it: a trial, its long texts cut and the cut said."""

from typing import Any

from penstock.scoring.trial import Trial

LONGEST = 4_000


def side_document(trial: Trial) -> dict[str, Any]:
    """A trial as a JSON object for reports."""
    document = trial.as_document()
    shown = ("release", "runId", "runtime", "status", "failure", "steps", "costUsd", "durationMs", "ttftMs")
    return {
        **{name: document[name] for name in (*shown, "promptTokens", "completionTokens")},
        "output": clipped(trial.output),
        "calls": [clipped(call.as_document()) for call in trial.calls],
    }


def clipped(value: Any, longest: int = LONGEST) -> Any:
    """The value with every text longer than `longest` characters cut, and the cut said."""
    if isinstance(value, str):
        if len(value) <= longest:
            return value
        return f"{value[:longest]} [{len(value) - longest} characters more]"
    if isinstance(value, dict):
        return {clipped(str(key), longest): clipped(one, longest) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clipped(one, longest) for one in value]
    return value
