"""The turns of a conversation: what can fall out of it as a whole."""

from collections.abc import Collection, Sequence

from penstock.pal import Message


def kept_positions(messages: Sequence[Message], input_at: int) -> frozenset[int]:
    """The positions of what never falls out: every system message, the run's input, the last user message."""
    kept = {at for at, message in enumerate(messages) if message["role"] in ("system", "developer")}
    users = [at for at, message in enumerate(messages) if message["role"] == "user"]
    kept.update(at for at in users if at == input_at or at == users[-1])
    return frozenset(kept)


def turns_of(messages: Sequence[Message], kept: Collection[int], input_at: int) -> list[tuple[int, ...]]:
    """What may fall out, oldest first, as positions; together with `kept` they are all messages.

    Before the input a turn is a user's message with everything up to the next one; after it, what the model said with
    the results of the tools that it asked for. A result never stands in another turn than its call.
    """
    turns: list[list[int]] = []
    is_open = False
    for at, message in enumerate(messages):
        if at in kept:
            is_open = is_open and message["role"] != "user"
            continue
        begins = message["role"] == "user" or (message["role"] == "assistant" and at > input_at)
        if begins or not is_open:
            turns.append([])
            is_open = True
        turns[-1].append(at)
    return [tuple(turn) for turn in turns]
