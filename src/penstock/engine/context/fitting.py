"""ContextFitting: makes each request of one run fit into the model that it goes to, and puts on record what was cut."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.contracts.context_budget import ContextBudget
from penstock.engine.context.excerpt import with_short_results
from penstock.engine.context.summary import summary_message, summary_question
from penstock.engine.context.token_count import frame_tokens, messages_tokens
from penstock.engine.context.window import ContextWindow, Split, prompt_limit
from penstock.engine.deployment import Deployment
from penstock.engine.model_turn import Question
from penstock.engine.run import Run
from penstock.pal import Message, ModelAnswer, ModelFailed

Ask = Callable[[Question, Deployment], Awaitable[ModelAnswer]]
"""Asks a deployment on the platform's behalf; raises as `ModelTurn.answer` does."""

SUMMARY_TOKENS = 1_000
LEAST_TOKENS = 100


@dataclass(frozen=True, slots=True)
class _Summed:
    """Messages that fell out, and their summary."""

    falls: tuple[Message, ...]
    turns: int
    text: str


class ContextFitting:
    """Fits the questions of one run; without a declared `context` they go out as they are.

    The cut depends on the messages, the model and the agent alone, and summaries come through the door: so a replay
    cuts the same.
    """

    def __init__(self, run: Run, ask: Ask) -> None:
        self._run = run
        self._ask = ask
        self._budget: ContextBudget | None = run.compiled.spec.context
        self._input_at = 1 + (len(run.call.history) if run.compiled.spec.mode == "conversational" else 0)
        self._summed: _Summed | None = None
        self._told: tuple[int, int] = (0, 0)

    async def fit(self, question: Question, deployment: Deployment) -> Question:
        """The question as this deployment can take it. Raises `ModelFailed` where what must stay is too much for it."""
        budget = self._budget
        if budget is None:
            return question
        frame = frame_tokens(question.tools, question.response_format)
        window = ContextWindow(budget, prompt_limit(budget, deployment.spec) - frame, self._input_at)
        messages = list(question.messages)
        short = with_short_results(messages, budget.tool_result_characters)
        fitted, facts = await self._fitted(budget, window, messages, deployment)
        tokens = messages_tokens(fitted)
        if tokens > window.limit:
            what = f"what must stay of the messages has {tokens + frame} tokens, and {window.limit + frame} may be sent"
            raise ModelFailed(
                what, where=deployment.ref, now="shorten the input, or raise the agent's context.maxTokens"
            )
        if short or facts["turns"]:
            before = messages_tokens(question.messages) + frame
            self._tell(
                {**facts, "toolResults": short, "tokensBefore": before, "tokensAfter": tokens + frame}, deployment
            )
        return Question(fitted, question.tools, question.response_format)

    async def _fitted(
        self, budget: ContextBudget, window: ContextWindow, messages: list[Message], deployment: Deployment
    ) -> tuple[Sequence[Message], dict[str, Any]]:
        """The messages that go out, and what is said of them."""
        why: dict[str, Any] = {}
        if budget.strategy == "summary":
            try:
                return await self._with_summary(window, messages, deployment)
            except ModelFailed as error:
                why = {"why": f"no summary: {error.what}"}
        split = window.split(messages)
        return split.stays, {"strategy": "fifo", "turns": split.turns, **why}

    async def _with_summary(
        self, window: ContextWindow, messages: list[Message], deployment: Deployment
    ) -> tuple[Sequence[Message], dict[str, Any]]:
        """As `_fitted`; a summary is asked for when something falls out that none of this run covers yet."""
        most = min(SUMMARY_TOKENS, window.limit // 4)
        known = self._summed
        split = window.without(messages, known.falls, known.turns) if known is not None else None
        if split is None or split.tokens + most > window.limit:
            split = window.split(messages, at_once=True)
        facts = {"strategy": "summary", "turns": split.turns}
        if not split.falls:
            return split.stays, facts
        room = min(most, window.limit - split.tokens)
        if room < LEAST_TOKENS:
            raise ModelFailed("what must stay leaves no room for one", where=deployment.ref)
        if known is None or split.falls != known.falls:
            known = await self._sum_up(split, known, window.limit, deployment)
        told = summary_message(known.text, room)
        return (_placed(split.stays, told) if told is not None else split.stays), facts

    async def _sum_up(self, split: Split, known: _Summed | None, limit: int, deployment: Deployment) -> _Summed:
        begun = known is not None and split.falls[: len(known.falls)] == known.falls
        before, fresh = (known.text, split.falls[len(known.falls) :]) if known and begun else (None, split.falls)
        answer = await self._ask(summary_question(fresh, before, limit), deployment)
        if not (answer.content or "").strip():
            raise ModelFailed("the model gave an empty summary", where=deployment.ref)
        self._summed = _Summed(split.falls, split.turns, answer.content or "")
        return self._summed

    def _tell(self, data: dict[str, Any], deployment: Deployment) -> None:
        """Once for each further cut: later requests of the run hold the same again."""
        cut = (data["turns"], data["toolResults"])
        if cut == self._told:
            return
        self._told = cut
        told = {**data, "modelRef": deployment.ref}
        past = self._run.past.events if self._run.past is not None else ()
        if not any(event["type"] == "context.cut" and event["data"] == told for event in past):
            self._run.log.emit("context.cut", told)


def _placed(messages: Sequence[Message], summary: Message) -> list[Message]:
    """The messages with the summary after the system messages that lead them."""
    first = next((at for at, message in enumerate(messages) if message["role"] not in ("system", "developer")), 0)
    return [*messages[:first], summary, *messages[first:]]
