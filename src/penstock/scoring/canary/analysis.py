"""Analysis: what the live sessions of a canary say against it, whenever one looks.

Two decisions are apart. `failed` aborts. Everything else lets a step wait for its soak and its sessions, and for proof
of not being worse where that is asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.contracts.agent import Slo
from penstock.contracts.pipeline import MetricWatch
from penstock.scoring.canary.comparison import Comparison
from penstock.scoring.canary.figures import MetricFigures, Outcome, SideFigures, figures_of
from penstock.scoring.canary.loss import loss_of
from penstock.scoring.canary.session import Session, seconds, sessions_of
from penstock.scoring.statistics.two_streams import Loss, blocks_of, e_value
from penstock.store.database import Database
from penstock.store.live_sessions import LiveSessions, SessionRun, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class NonInferiority:
    """Whether it is proven that the canary fails less than `margin` more than prod, at the whole of alpha."""

    margin: float
    e_value: float
    threshold: float

    @property
    def is_proven(self) -> bool:
        """Once proven it stays so."""
        return self.e_value >= self.threshold

    def as_document(self) -> dict[str, Any]:
        """The proof as a JSON object."""
        return {
            "margin": self.margin,
            "eValue": self.e_value,
            "threshold": self.threshold,
            "proven": self.is_proven,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a look finds, and why in a sentence.

    failed = worse for certain in a metric that acts; errored = one of them is not on record; inconclusive = no session
    of the one side stands beside one of the other; passed = no evidence against the canary. `started` holds when
    each session on the canary began that counts by now, Unix seconds, oldest first.
    """

    outcome: Outcome
    reason: str
    metrics: tuple[MetricFigures, ...]
    non_inferiority: NonInferiority
    started: tuple[float, ...]

    def sessions_since(self, moment: str) -> int:
        """Sessions on the canary that began at or after then (RFC 3339), its allow-list's too, and are over."""
        since = seconds(moment)
        return sum(started >= since for started in self.started)

    def as_document(self) -> dict[str, Any]:
        """The analysis as a JSON object."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "sessions": len(self.started),
            "metrics": [figures.as_document() for figures in self.metrics],
            "nonInferiority": self.non_inferiority.as_document(),
        }


def stored_analysis(
    database: Database, agent: str, canary_release: str, prod_release: str | None, comparison: Comparison
) -> Analysis:
    """Analyses what the database holds of the two releases (digests); raises `Unavailable` when it fails."""
    store = LiveSessions(database)
    canary = (agent, canary_release, "canary", comparison.began)
    runs, words = store.runs(*canary), store.words(*canary)
    beside: list[SessionRun] = []
    if prod_release is not None:
        prod = (agent, prod_release, "prod", comparison.began)
        beside, words = store.runs(*prod), words + store.words(*prod)
    return analyse(runs, beside, words, comparison)


def analyse(
    canary: Iterable[SessionRun], prod: Iterable[SessionRun], words: Iterable[Word], comparison: Comparison
) -> Analysis:
    """Compares the live runs of two releases since the canary began, with users' words on them.

    A pure function, and the same at the next look as far as sessions go that had counted: how often one looks, and in
    which order rows were read, changes nothing.
    """
    sessions = sessions_of(canary, prod, words, began=comparison.began, window_s=comparison.window_s)
    slo = comparison.canary.slo
    metrics = tuple(_figures(watch, sessions, comparison) for watch in comparison.watched)
    counted_until = comparison.counted_until("success")
    over = [session for session in sessions if session.started <= counted_until]
    outcome = _outcome(metrics)
    return Analysis(
        outcome=outcome,
        reason=_reason(outcome, metrics, slo, over),
        metrics=metrics,
        non_inferiority=_non_inferiority(over, comparison),
        started=tuple(session.started for session in over if session.on_canary),
    )


def _figures(watch: MetricWatch, sessions: Sequence[Session], comparison: Comparison) -> MetricFigures:
    counted_until = comparison.counted_until(watch.metric)
    counted = [session for session in sessions if session.sampled and session.started <= counted_until]
    return figures_of(watch, counted, comparison.canary.slo, comparison.alpha)


def _non_inferiority(sessions: Sequence[Session], comparison: Comparison) -> NonInferiority:
    margin = comparison.analysis.margin
    losses = []
    for session in sessions:
        loss = loss_of("success", session, comparison.canary.slo)
        if session.sampled and isinstance(loss, float):
            losses.append(Loss(session.on_canary, loss))
    # Prod is the first side here: H0 says that it loses at least `margin` less than the canary.
    mirrored = [block.mirrored() for block in blocks_of(losses)]
    proof = e_value(mirrored, null=-margin, gaps=(margin / 2, margin, 2 * margin))
    return NonInferiority(margin=margin, e_value=proof, threshold=1 / comparison.analysis.alpha)


def _outcome(metrics: Sequence[MetricFigures]) -> Outcome:
    found = {figures.outcome for figures in metrics if figures.acts}
    for outcome in ("failed", "errored", "passed"):
        if outcome in found:
            return outcome
    return "inconclusive"


def _reason(outcome: Outcome, metrics: Sequence[MetricFigures], slo: Slo, over: Sequence[Session]) -> str:
    """One sentence; of a failure, one a metric that failed."""
    of_outcome = [figures for figures in metrics if figures.acts and figures.outcome == outcome]
    if outcome == "failed":
        return "; ".join(_failure(figures, slo) for figures in of_outcome)
    if outcome == "errored":
        return "; ".join(_unknown(figures) for figures in of_outcome)
    if not any(figures.acts for figures in metrics):
        return "no metric may act"
    sampled = [session.on_canary for session in over if session.sampled]
    beside = f"{sampled.count(True)} sessions on the canary beside {sampled.count(False)} on prod"
    if outcome == "passed":
        highest = max(of_outcome, key=lambda figures: figures.e_value)
        return f"no evidence against the canary: {beside}, highest e = {_e(highest)} ({highest.watch.metric})"
    return f"nothing to compare yet: {beside}"


def _failure(figures: MetricFigures, slo: Slo) -> str:
    canary, prod = figures.canary, figures.prod
    wrong = {
        "success": "of runs did not finish",
        "latency": f"of runs took more than {slo.p95_ms} ms",
        "cost": f"of runs cost more than {slo.cost_per_run_usd} USD",
        "toolSuccess": "of tool calls failed",
        "feedback": "of users' words were down",
    }[figures.watch.metric]
    allowed = f" (up to {figures.watch.tolerance:.1%} more is tolerated)" if figures.watch.tolerance else ""
    return (
        f"{figures.watch.metric}: {_share(canary)} {wrong} in {canary.sessions} sessions on the canary, against "
        f"{_share(prod)} in {prod.sessions} on prod{allowed}, e = {_e(figures)}"
    )


def _unknown(figures: MetricFigures) -> str:
    canary, prod = figures.canary, figures.prod
    what = "price" if figures.watch.metric == "cost" else "duration"
    return (
        f"{figures.watch.metric}: the {what} of {canary.unknown} of {canary.unknown + canary.sessions} sessions on the "
        f"canary and {prod.unknown} of {prod.unknown + prod.sessions} on prod is not known"
    )


def _share(side: SideFigures) -> str:
    return f"{side.mean or 0:.1%}"


def _e(figures: MetricFigures) -> str:
    sign = ">=" if figures.e_value >= figures.threshold else "<"
    return f"{figures.e_value:.3g} {sign} {figures.threshold:.3g}"
