"""The steps of a canary as the pipeline declares them: what each gives, and which comes next. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.contracts.document import duration_s
from penstock.contracts.pipeline import CanaryStep, Pipeline
from penstock.contracts.stages import AllowList, CanaryStanding
from penstock.release.clock import moment_of

LIVE_ANALYSIS = "live-analysis"
"""The gate that the results of live analysis name; it stands in no pipeline: steps ask it."""


@dataclass(frozen=True, slots=True)
class Share:
    """What the canary gets at a step (from 1): hundredths of a percent of the sessions, and who meets it anyway."""

    step: int
    weight_bp: int
    allow: AllowList


def share_at(pipeline: Pipeline, step: int) -> Share:
    """The share of a step from 1 to the last; who was allowed at an earlier one stays so, or would be thrown back."""
    steps = pipeline.spec.canary.steps[:step]
    allowed = {
        key: list(dict.fromkeys(one for declared in steps for one in declared.allow.as_document()[key]))
        for key in ("tenants", "users", "sessions")
    }
    return Share(step, round(steps[-1].percent * 100), AllowList.model_validate(allowed))


def step_of(pipeline: Pipeline, canary: CanaryStanding) -> CanaryStep:
    """The step that the canary stands at; the last one where the pipeline has fewer steps now than when it began."""
    steps = pipeline.spec.canary.steps
    return steps[min(canary.step, len(steps)) - 1]


def is_last(pipeline: Pipeline, canary: CanaryStanding) -> bool:
    """Whether no step comes after the one that the canary stands at."""
    return canary.step >= len(pipeline.spec.canary.steps)


def step_parameters(canary: CanaryStanding) -> dict[str, Any]:
    """What a result of live analysis is about: the step, and when it began."""
    return {"step": canary.step, "since": canary.since}


def began(canary: CanaryStanding) -> str:
    """When its first step began, RFC 3339: where the window of its live analysis starts."""
    return canary.began or canary.since


def soaked_at(pipeline: Pipeline, canary: CanaryStanding, since: datetime | None = None) -> datetime | None:
    """When the step will have soaked, counted from `since` (default: as the file says); None for no time."""
    begun = since or moment_of(canary.since)
    return begun + timedelta(seconds=duration_s(step_of(pipeline, canary).soak)) if begun is not None else None
