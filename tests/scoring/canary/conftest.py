from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.contracts.pipeline import CanaryAnalysis
from penstock.scoring.canary.analysis import Analysis, analyse
from penstock.scoring.canary.comparison import Comparison
from penstock.store.live_sessions import SessionRun, Word
from penstock.testing.example_release import example_release

BEGAN = datetime(2026, 11, 20, 10, tzinfo=UTC)
SLO = {"successRate": 0.99, "p95Ms": 1_000, "costPerRunUsd": 0.01}


class LiveWorld:
    """Runs of both sides in the order in which a test tells them, a minute apart unless it says when (seconds)."""

    def __init__(self) -> None:
        self.canary: list[SessionRun] = []
        self.prod: list[SessionRun] = []
        self.words: list[Word] = []
        self.agent = example_release({"slo": SLO}, tools={"weather": {}})[0].agent.spec
        self._told = 0

    @staticmethod
    def at(seconds: float) -> str:
        """So many seconds after the canary began."""
        return (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def run(self, side: str, session: str | None = "", at: float | None = None, **fields: Any) -> SessionRun:
        """A run on a side, of a session of its own unless it is named (None: without a session)."""
        self._told += 1
        row = SessionRun(
            run_id=f"run-{self._told:05}", status="finished", tenant="acme", duration_ms=500.0, cost_usd=0.001,
            session_id=f"session-{self._told:05}" if session == "" else session, tool_calls=0, tool_failures=0,
            started_at=self.at(60.0 * self._told if at is None else at),
            routed_by="canary weight" if side == "canary" else "prod",
        )  # fmt: skip
        row = replace(row, **fields)
        (self.canary if side == "canary" else self.prod).append(row)
        return row

    def say(self, run: SessionRun, rating: float, at: float) -> None:
        self.words.append(Word(run.run_id, self.at(at), rating))

    def comparison(self, now: float = 1e6, prod: bool = True, **analysis: Any) -> Comparison:
        return Comparison(
            analysis=CanaryAnalysis.model_validate(analysis),
            canary=self.agent,
            prod=self.agent if prod else None,
            began=self.at(0),
            now=self.at(now),
        )

    def analyse(self, now: float = 1e6, prod: bool = True, **analysis: Any) -> Analysis:
        return analyse(self.canary, self.prod, self.words, self.comparison(now, prod, **analysis))

    def many(self, sides: Sequence[str], make: Callable[[int, str], dict[str, Any]] = lambda at, side: {}) -> None:
        """One run after the other, each a session of its own; `make` gives the fields that differ."""
        for at, side in enumerate(sides):
            self.run(side, **make(at, side))


@pytest.fixture
def live() -> LiveWorld:
    return LiveWorld()
