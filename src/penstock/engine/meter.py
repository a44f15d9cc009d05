"""Meter: what a run has used so far, held against its limits."""

from penstock.contracts.agent import Limits
from penstock.engine.failure import Failure
from penstock.engine.result import RunUsage
from penstock.pal import Usage


class Meter:
    """Counts the calls, tokens and cost of one run; each method returns the failure that it amounts to, or None."""

    def __init__(self, limits: Limits, where: str) -> None:
        self._limits = limits
        self._where = where
        self._prompt_tokens = self._completion_tokens = 0
        self._cost_usd: float | None = 0.0
        self._model_calls = self._tool_calls = self._tool_failures = 0

    @property
    def usage(self) -> RunUsage:
        """The sums so far."""
        return RunUsage(
            self._prompt_tokens,
            self._completion_tokens,
            self._cost_usd,
            self._model_calls,
            self._tool_calls,
            self._tool_failures,
        )

    def model_call(self) -> Failure | None:
        """Counts a model call that is about to be made."""
        if self._model_calls >= self._limits.max_model_calls:
            return self._over("maxModelCalls", self._limits.max_model_calls)
        if failure := self._step():
            return failure
        self._model_calls += 1
        return None

    def tool_call(self) -> Failure | None:
        """Counts a tool call that was asked for."""
        if failure := self._step():
            return failure
        self._tool_calls += 1
        return None

    def tool_failed(self) -> None:
        """Counts a tool call that gave no result, for whatever reason."""
        self._tool_failures += 1

    def spend(self, usage: Usage) -> Failure | None:
        """Adds what a model call used; over the limit is over, also with the last call."""
        self._prompt_tokens += usage.prompt_tokens
        self._completion_tokens += usage.completion_tokens
        if usage.cost_usd is None or self._cost_usd is None:
            self._cost_usd = None
        else:
            self._cost_usd += usage.cost_usd
        if self._prompt_tokens + self._completion_tokens > self._limits.max_tokens:
            return self._over("maxTokens", self._limits.max_tokens)
        max_cost_usd = self._limits.max_cost_usd
        if max_cost_usd is None:
            return None
        if self._cost_usd is None:
            return Failure(
                "limit",
                "limits.maxCostUsd cannot be held: the price of a model call is unknown",
                self._where,
                "declare spec.price in the model",
            )
        return self._over("maxCostUsd", max_cost_usd) if self._cost_usd > max_cost_usd else None

    def _step(self) -> Failure | None:
        if self._model_calls + self._tool_calls >= self._limits.max_steps:
            return self._over("maxSteps", self._limits.max_steps)
        return None

    def _over(self, name: str, limit: float) -> Failure:
        return Failure("limit", f"limits.{name} of {limit:g} reached", self._where, "raise the limit in a new version")
