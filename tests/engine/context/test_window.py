"""What falls out of a conversation, over any conversation and any limit."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contracts.context_budget import ContextBudget
from penstock.contracts.model import ModelSpec
from penstock.engine.context.excerpt import excerpt, excerpt_of_tokens
from penstock.engine.context.token_count import messages_tokens, text_tokens
from penstock.engine.context.turns import kept_positions, turns_of
from penstock.engine.context.window import ContextWindow, prompt_limit
from penstock.pal import Message

TEXTS = st.text(max_size=80)


def step(number: int, texts: Sequence[str]) -> list[Message]:
    """What a model asked for, one call a text, and the results."""
    calls = [
        {"id": f"c{number}_{at}", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        for at in range(len(texts))
    ]
    results = [{"role": "tool", "tool_call_id": f"c{number}_{at}", "content": text} for at, text in enumerate(texts)]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], int]:
    """Messages as runs have them, and where the input stands."""
    messages: list[Message] = [{"role": "system", "content": draw(TEXTS)}]
    for user, answer in draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=5)):
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    input_at = len(messages)
    messages.append({"role": "user", "content": draw(TEXTS)})
    for number, texts in enumerate(draw(st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=5))):
        messages += step(number, texts)
    if draw(st.booleans()):
        messages += [{"role": "assistant", "content": draw(TEXTS)}, {"role": "user", "content": draw(TEXTS)}]
    return messages, input_at


@settings(max_examples=150, deadline=None)
@given(conversations(), st.integers(20, 900), st.integers(1, 4), st.booleans())
def test_the_rest_fits_and_holds_what_must_stay(
    conversation: tuple[list[Message], int], limit: int, keep_turns: int, at_once: bool
) -> None:
    messages, input_at = conversation
    budget = ContextBudget.model_validate({"keepTurns": keep_turns})
    split = ContextWindow(budget, limit, input_at).split(messages, at_once=at_once)
    kept = kept_positions(messages, input_at)
    turns = turns_of(messages, kept, input_at)
    newest = {at for turn in turns[-keep_turns:] for at in turn}
    must = [message for at, message in enumerate(messages) if at in kept or at in newest]
    assert split.tokens == messages_tokens(split.stays)
    assert split.tokens <= limit or list(split.stays) == must
    assert [message for message in split.stays if any(message is one for one in must)] == must
    assert sorted(map(id, (*split.stays, *split.falls))) == sorted(map(id, messages))
    if messages_tokens(messages) <= limit:
        assert not split.falls
    elif not at_once and split.turns:
        one_less = [at for turn in turns[: split.turns - 1] for at in turn]
        assert messages_tokens(one for at, one in enumerate(messages) if at not in one_less) > limit


@settings(max_examples=150, deadline=None)
@given(conversations(), st.integers(20, 900), st.booleans())
def test_a_result_never_stands_without_its_call(
    conversation: tuple[list[Message], int], limit: int, at_once: bool
) -> None:
    messages, input_at = conversation
    stays = ContextWindow(ContextBudget.model_validate({}), limit, input_at).split(messages, at_once=at_once).stays
    asked = {call["id"] for message in stays for call in message.get("tool_calls", ())}
    told = {message["tool_call_id"] for message in stays if message["role"] == "tool"}
    assert asked == told


def test_a_system_message_in_between_parts_no_pair() -> None:
    call, result = step(1, ["warm"])
    messages: list[Message] = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
        call,
        {"role": "system", "content": "c"},
        result,
        {"role": "assistant", "content": "d"},
    ]
    assert turns_of(messages, kept_positions(messages, 1), 1) == [(2, 4), (5,)]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=2_000), st.integers(200, 1_500))
def test_an_excerpt_is_short_enough_and_says_what_was_cut(text: str, characters: int) -> None:
    short = excerpt(text, characters)
    assert len(short) <= characters
    if len(text) <= characters:
        assert short == text
    else:
        head, _, rest = short.rpartition("\n[... ")
        said, _, tail = rest.partition(" characters were cut here ...]\n")
        assert said == f"{len(text) - len(head) - len(tail)} of {len(text)}"
        assert text.startswith(head)
        assert text.endswith(tail)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=2_000), st.integers(-10, 900))
def test_an_excerpt_by_tokens_has_no_more(text: str, tokens: int) -> None:
    assert text_tokens(excerpt_of_tokens(text, tokens)) <= max(0, tokens)


def test_the_room_of_the_answer_is_kept_free() -> None:
    def limit(parameters: dict[str, Any], context_tokens: int = 100_000, **budget: Any) -> int:
        model = ModelSpec.model_validate({"model": "a/b", "contextTokens": context_tokens, "parameters": parameters})
        return prompt_limit(ContextBudget.model_validate(budget), model)

    assert limit({"max_tokens": 1_000}) == 99_000
    assert limit({}) == 95_904
    assert limit({}, 1_000) == 750
    assert limit({}, 1_000, maxTokens=400) == 400
    assert limit({}, 1_000, maxTokens=4_000) == 750
