"""ModelChoice: which models answer a run, the first and its spares. Chosen once, with the reason on record."""

import asyncio
from collections.abc import Awaitable, Callable

from penstock.contracts.canonical import canonical
from penstock.contracts.model_choice import DEFAULT_COMPLEXITY, Complexity, ModelsByComplexity
from penstock.engine.classifier import classified, classifying
from penstock.engine.complexity_rule import complexity_by_rule
from penstock.engine.deployment import Deployment
from penstock.engine.model_turn import Question
from penstock.engine.run import Run
from penstock.pal import ModelAnswer, ModelFailed


class ModelChoice:
    """Of one run. An agent with a single model has no choice to make, and nothing is put on record."""

    def __init__(self, run: Run, ask: Callable[[Question, Deployment], Awaitable[ModelAnswer]]) -> None:
        self._run = run
        self._ask = ask
        self._chosen: tuple[Deployment, ...] | None = None
        self._choosing = asyncio.Lock()

    async def deployments(self) -> tuple[Deployment, ...]:
        """The models in the order in which they are asked; raises `RunOver` if the run ends over the choice."""
        compiled = self._run.compiled
        if not isinstance(compiled.spec.model_ref, ModelsByComplexity):
            return compiled.deployments
        async with self._choosing:
            if self._chosen is None:
                complexity, by, why = await self._complexity()
                self._chosen = compiled.deployments_for(complexity)
                self._tell({"complexity": complexity, "model": self._chosen[0].ref, "by": by, "why": why})
        return self._chosen

    def _tell(self, chosen: dict[str, str]) -> None:
        """Puts the choice on record, unless an earlier attempt of the run did."""
        if not any(event["type"] == "model.chosen" for event in self._run.log.events):
            self._run.log.emit("model.chosen", chosen)

    async def _complexity(self) -> tuple[Complexity, str, str]:
        """The complexity, what said so (`request`, `rule`, `classifier` or `default`), and why."""
        call, choice = self._run.call, self._run.compiled.spec.complexity
        if call.complexity is not None:
            return call.complexity, "request", "the caller said so"
        if choice is None:
            return DEFAULT_COMPLEXITY, "default", "neither the caller nor the agent says"
        task = call.input if isinstance(call.input, str) else canonical(call.input).decode()
        if self._run.compiled.classifier is not None:
            return await self._classified(task, self._run.compiled.classifier, choice.otherwise)
        return _by_rule(complexity_by_rule(choice, len(task), len(call.history)))

    async def _classified(
        self, task: str, classifier: Deployment, otherwise: Complexity
    ) -> tuple[Complexity, str, str]:
        try:
            answer = await self._ask(classifying(task), classifier)
        except ModelFailed as error:
            return otherwise, "default", f"{classifier.ref} did not answer: {error.what}"
        found = classified(answer.content)
        if found is None:
            return otherwise, "default", f"{classifier.ref} named no complexity"
        return found, "classifier", f"{classifier.ref} said so"


def _by_rule(found: tuple[Complexity, str]) -> tuple[Complexity, str, str]:
    return found[0], "rule", found[1]
