"""The LLM door: the only way of a run to its models, the spare ones in their order."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.engine.context.fitting import ContextFitting
from penstock.engine.controls import Breakers, Budgets
from penstock.engine.degraded import degraded_first
from penstock.engine.deployment import Deployment
from penstock.engine.model_choice import ModelChoice
from penstock.engine.model_turn import ModelTurn, Question, failure_of
from penstock.engine.own_turn import OwnTurn
from penstock.engine.run import Run
from penstock.pal import Message, ModelAnswer, ModelFailed, ModelProvider, ToolOffer


class ModelDoor:
    """Asks the models of one run's release."""

    def __init__(self, run: Run, provider: ModelProvider, breakers: Breakers, budgets: Budgets) -> None:
        self._run = run
        self._provider = provider
        self._breakers = breakers
        self._budgets = budgets
        self._choice = ModelChoice(run, self._ask_for_platform)
        self._context = ContextFitting(run, self._ask_for_platform)

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolOffer] = (),
        response_format: Mapping[str, Any] | None = None,
    ) -> ModelAnswer:
        """The model's answer, its tool calls under the platform's ids.

        A model that fails is followed by its spares, unless text of its answer was streamed; the last one's failure
        ends the run.
        """
        run, question = self._run, Question(messages, tools, response_format)
        left = degraded_first(run, await self._choice.deployments())
        while True:
            deployment = left.pop(0)
            turn = ModelTurn(run, self._provider, self._breakers, self._budgets, deployment)
            try:
                return await turn.answer(await self._context.fit(question, deployment))
            except ModelFailed as error:
                if turn.is_heard or not left:
                    run.stop(failure_of(error, deployment))
                    raise
                data = {"kind": "model", "from": deployment.ref, "to": left[0].ref, "why": error.what}
                run.fell_back(data, quiet=turn.is_recalled)

    async def _ask_for_platform(self, question: Question, deployment: Deployment) -> ModelAnswer:
        return await OwnTurn(self._run, self._provider, self._breakers, self._budgets, deployment).answer(question)
