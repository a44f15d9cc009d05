"""EngineJudge: the door to a judge that is an agent of the registry; each answer is a run of the engine, mode eval."""

from collections.abc import Mapping
from typing import Any

from penstock.contracts.release import Release
from penstock.engine.call import RunCall
from penstock.engine.result import RunResult
from penstock.registry.resolve import Resolved
from penstock.scoring.engine_subject import Runner
from penstock.scoring.measured import Bounds
from penstock.scoring.scorer import JudgeAnswer, ScorerFailed


class EngineJudge:
    """Asks one judge. `bounds` pace and pay its runs; None = nobody counts them (`score_all` sets its own)."""

    def __init__(self, runner: Runner, resolved: Resolved, runtime: str, bounds: Bounds | None = None) -> None:
        self.bounds = bounds
        self._runner = runner
        self._release = resolved.release
        self._body = resolved.blobs[resolved.release.prompt.body]
        self._runtime = runtime
        pinned = self._release.agent.spec.main_model
        self._model = next(model for model in self._release.models if model.ref == pinned)

    @property
    def release(self) -> Release:
        """The judge's release."""
        return self._release

    async def ask(self, question: Mapping[str, Any]) -> JudgeAnswer:
        """The judge's answer. Raises `ScorerFailed` when the budget is used up or its run did not finish."""
        if self.bounds is None:
            return self._answer(await self._run(question))
        budget = self.bounds.budget
        refusal = budget.refusal()
        if refusal is not None:
            raise self._failed(f"not asked: {refusal}")
        admission = await budget.pacing(self.bounds.pace).admit(self._model.name, budget.remaining_s)
        if admission is None:
            raise self._failed(f"not asked: the budget of {budget.minutes:g} minutes is too short for the pace")
        calls = tokens = 0
        try:
            result = await self._run(question)
            calls, tokens = result.usage.model_calls, result.usage.total_tokens
            budget.spend(result.usage.cost_usd)
        finally:
            admission.settle(calls, tokens)
        return self._answer(result)

    async def _run(self, question: Mapping[str, Any]) -> RunResult:
        call = RunCall(
            release=self._release,
            prompt_body=self._body,
            runtime=self._runtime,
            input=dict(question),
            mode="eval",
        )
        handle = await self._runner.start(call)
        return await handle.result_or_cancel()

    def _answer(self, result: RunResult) -> JudgeAnswer:
        if result.failure is not None:
            raise self._failed(f"did not answer: {result.failure.what}", result.failure.now)
        return JudgeAnswer(result.output, result.usage.cost_usd, result.run_id, self._model.spec.model)

    def _failed(self, what: str, now: str = "") -> ScorerFailed:
        name = f"{self._release.name}@{self._release.version}"
        return ScorerFailed(f"the judge {name} {what}", where=f"agents/{name}", now=now or "see the judge's runs")
