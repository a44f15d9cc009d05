"""How two releases differ in what agents promise: success, latency, time to the first token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.trial import Trial

Both = tuple[float | None, float | None]
"""Baseline, candidate; None = not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloDifference:
    """Both sides' figures, baseline first. Success is a share of the runs, the rest milliseconds by nearest rank."""

    success_rate: Both
    p50_ms: Both
    p95_ms: Both
    ttft_p50_ms: Both

    @property
    def success_drop(self) -> float | None:
        """By how much a smaller share of the runs finished; negative = a greater one."""
        before, after = self.success_rate
        return before - after if before is not None and after is not None else None

    @property
    def p95_rise(self) -> float | None:
        """By how much p95 is greater (0.1 = 10 %)."""
        before, after = self.p95_ms
        return after / before - 1.0 if before and after is not None else None

    def as_document(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        return {
            "successRate": list(self.success_rate),
            "p50Ms": list(self.p50_ms),
            "p95Ms": list(self.p95_ms),
            "ttftP50Ms": list(self.ttft_p50_ms),
        }


def slo_difference(pairs: Sequence[TrialPair]) -> SloDifference:
    """The figures of all pairs; runs that failed took their time too."""
    old, new = [pair.baseline for pair in pairs], [pair.candidate for pair in pairs]
    return SloDifference(
        success_rate=(_success(old), _success(new)),
        p50_ms=(_duration(old, 0.50), _duration(new, 0.50)),
        p95_ms=(_duration(old, 0.95), _duration(new, 0.95)),
        ttft_p50_ms=(_first_token(old), _first_token(new)),
    )


def nearest_rank(values: Sequence[float], share: float) -> float | None:
    """The value below or at which `share` of all values lie, as the live SLOs are judged; None of no value."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def _success(trials: Sequence[Trial]) -> float | None:
    return sum(trial.finished for trial in trials) / len(trials) if trials else None


def _duration(trials: Sequence[Trial], share: float) -> float | None:
    return nearest_rank([trial.duration_ms for trial in trials], share)


def _first_token(trials: Sequence[Trial]) -> float | None:
    return nearest_rank([trial.ttft_ms for trial in trials if trial.ttft_ms is not None], 0.50)
