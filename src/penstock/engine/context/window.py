"""ContextWindow: what of a conversation fits into one model, and what falls out. Pure: equal messages, equal cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.contracts.context_budget import ContextBudget
from penstock.contracts.model import ModelSpec
from penstock.engine.context.token_count import message_tokens
from penstock.engine.context.turns import kept_positions, turns_of
from penstock.pal import Message

COMPLETION_TOKENS = 4_096
_ROOM_FIELDS = ("max_completion_tokens", "max_tokens", "maxCompletionTokens", "maxTokens")


def prompt_limit(budget: ContextBudget, model: ModelSpec) -> int:
    """The most tokens of a request to this model: its window less the room for its answer, or less if declared.

    The room is what the model's parameters allow the answer; if they do not say, 4,096 tokens, but at most a quarter
    of the window.
    """
    declared = [model.parameters[name] for name in _ROOM_FIELDS if isinstance(model.parameters.get(name), int)]
    room = declared[0] if declared else min(COMPLETION_TOKENS, model.context_tokens // 4)
    limit = model.context_tokens - room
    return limit if budget.max_tokens is None else min(limit, budget.max_tokens)


@dataclass(frozen=True, slots=True)
class Split:
    """A conversation in two: what stays and what falls out, each in its order; `tokens` are of what stays."""

    stays: tuple[Message, ...]
    falls: tuple[Message, ...]
    turns: int
    tokens: int


class ContextWindow:
    """The room that one request leaves for its messages, `limit` tokens; the run's input stands at `input_at`."""

    def __init__(self, budget: ContextBudget, limit: int, input_at: int) -> None:
        self._keep_turns = budget.keep_turns
        self._input_at = input_at
        self.limit = limit

    def split(self, messages: Sequence[Message], *, at_once: bool = False) -> Split:
        """Lets the oldest turns fall out until the rest has `limit` tokens at most.

        With `at_once` all that may fall out does as soon as anything must. What never falls out may alone be more than
        the limit: see `Split.tokens`.
        """
        sizes = [message_tokens(message) for message in messages]
        tokens = sum(sizes)
        falling: list[tuple[int, ...]] = []
        for turn in self._fallible(messages):
            if tokens <= self.limit and not (at_once and falling):
                break
            falling.append(turn)
            tokens -= sum(sizes[at] for at in turn)
        return _split(messages, falling, tokens)

    def without(self, messages: Sequence[Message], falls: Sequence[Message], turns: int) -> Split | None:
        """The messages less the oldest `turns`, if those are just `falls`; else None."""
        falling = self._fallible(messages)[:turns]
        if [messages[at] for turn in falling for at in turn] != list(falls):
            return None
        out = {at for turn in falling for at in turn}
        tokens = sum(message_tokens(message) for at, message in enumerate(messages) if at not in out)
        return _split(messages, falling, tokens)

    def _fallible(self, messages: Sequence[Message]) -> list[tuple[int, ...]]:
        turns = turns_of(messages, kept_positions(messages, self._input_at), self._input_at)
        return turns[: max(0, len(turns) - self._keep_turns)]


def _split(messages: Sequence[Message], falling: Sequence[tuple[int, ...]], tokens: int) -> Split:
    out = {at for turn in falling for at in turn}
    stays = tuple(message for at, message in enumerate(messages) if at not in out)
    return Split(stays, tuple(messages[at] for at in sorted(out)), len(falling), tokens)
