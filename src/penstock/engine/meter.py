"""Meter: what a run has used so far, held against its limits."""

from collections import Counter
from typing import Any

from penstock.contracts.agent import Limits
from penstock.contracts.budget import Budget
from penstock.engine.failure import Failure, FailureCode
from penstock.engine.result import RunUsage
from penstock.pal import USD_DIGITS, Usage

_NOISE_USD = 1e-9
NOT_TOLD = "(not known)"


class Meter:
    """Counts the calls, tokens and cost of one run; each method returns the failure that it amounts to, or None."""

    def __init__(self, limits: Limits, where: str) -> None:
        self._limits = limits
        self._where = where
        self._prompt_tokens = self._completion_tokens = 0
        self._cost_usd: float | None = 0.0
        self._model_calls = self._tool_calls = self._tool_failures = 0
        self.budget: Budget | None = None
        """What the project lets the run spend; set when it is admitted."""
        self._set_aside_usd = self._committed_usd = 0.0
        self._is_told = False
        self._by_model: dict[str, Usage] = {}
        self._unpriced: Counter[str] = Counter()

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

    def models(self) -> dict[str, dict[str, Any]]:
        """What each model was used for; `costUsd` is of the calls whose price is known."""
        return {
            name: {
                "promptTokens": used.prompt_tokens,
                "completionTokens": used.completion_tokens,
                "costUsd": used.cost_usd,
                "unpricedCalls": self._unpriced[name],
            }
            for name, used in self._by_model.items()
        }

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

    def spend(self, usage: Usage, model: str = "") -> Failure | None:
        """Adds what a call of `model` (a reference) used; over the limit is over, also with the last call."""
        used = self._by_model.setdefault(model or NOT_TOLD, Usage(0, 0, 0.0))
        known = usage.cost_usd is not None
        self._unpriced[model or NOT_TOLD] += int(not known)
        self._by_model[model or NOT_TOLD] = Usage(
            used.prompt_tokens + usage.prompt_tokens,
            used.completion_tokens + usage.completion_tokens,
            (used.cost_usd or 0.0) + (usage.cost_usd or 0.0),
        )
        self._prompt_tokens += usage.prompt_tokens
        self._completion_tokens += usage.completion_tokens
        if usage.cost_usd is None or self._cost_usd is None:
            self._cost_usd = None
        else:
            self._cost_usd = round(self._cost_usd + usage.cost_usd, USD_DIGITS)
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

    def set_aside(self, most_usd: float | None) -> Failure | None:
        """Sets aside the most that a call can cost, USD, before it is made; None = unknown, see `spend`.

        So calls that are made at once cannot together spend more than the run may.
        """
        if most_usd is None:
            return None
        spent_usd = max(self._committed_usd, self._cost_usd or 0.0)
        hard_usd = self.budget.hard_usd if self.budget is not None else None
        needed_usd = spent_usd + self._set_aside_usd + most_usd
        if self._limits.max_cost_usd is not None and needed_usd > self._limits.max_cost_usd + _NOISE_USD:
            return self._too_dear("limit", "limits.maxCostUsd", self._limits.max_cost_usd, most_usd, spent_usd)
        if hard_usd is not None and needed_usd > hard_usd + _NOISE_USD:
            return self._too_dear("budget", "the budget of a run", hard_usd, most_usd, spent_usd)
        self._set_aside_usd += most_usd
        return None

    def put_back(self, most_usd: float | None, cost_usd: float | None) -> None:
        """Ends what was set aside for a call; its cost stays, and all of it where that is not known."""
        if most_usd is not None:
            self._set_aside_usd -= most_usd
            self._committed_usd += most_usd if cost_usd is None else cost_usd

    def soft_alert(self) -> dict[str, Any] | None:
        """What to tell once the run is over its soft budget, the first time; else None."""
        soft_usd = self.budget.soft_usd if self.budget is not None else None
        if soft_usd is None or self._is_told or self._committed_usd < soft_usd:
            return None
        self._is_told = True
        return {"scope": "run", "spentUsd": round(self._committed_usd, 9), "limitUsd": soft_usd}

    def _too_dear(self, code: FailureCode, name: str, limit_usd: float, most_usd: float, spent_usd: float) -> Failure:
        what = (
            f"{name} of {limit_usd:g} USD does not hold a call that may cost {most_usd:.6f} USD: "
            f"{spent_usd:.6f} spent, {self._set_aside_usd:.6f} set aside for calls in flight"
        )
        return Failure(code, what, self._where, "set parameters.maxTokens in the model, or raise the limit")

    def _step(self) -> Failure | None:
        if self._model_calls + self._tool_calls >= self._limits.max_steps:
            return self._over("maxSteps", self._limits.max_steps)
        return None

    def _over(self, name: str, limit: float) -> Failure:
        return Failure("limit", f"limits.{name} of {limit:g} reached", self._where, "raise the limit in a new version")
