"""Any conversation, any limit, both strategies: what is sent fits, holds what must stay, comes out the same again."""

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.contracts.context_budget import ContextBudget
from penstock.contracts.model import ModelSpec
from penstock.engine.context.fitting import ContextFitting
from penstock.engine.context.token_count import messages_tokens
from penstock.engine.model_turn import Question
from penstock.pal import Message, ModelAnswer, ModelFailed
from penstock.testing.fake_provider import says

WORDS = st.text(alphabet="ab 1é", max_size=60)
CALL = {"type": "function", "function": {"name": "weather", "arguments": "{}"}}
Sent = list[list[Message]]


@st.composite
def loops(draw: st.DrawFn) -> tuple[int, list[list[Message]]]:
    """The requests of a run as its messages grow, and how many messages of history it has."""
    history: list[Message] = []
    for text in draw(st.lists(WORDS, max_size=4)):
        history += [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    messages: list[Message] = [{"role": "system", "content": "be brief"}, *history, {"role": "user", "content": "go"}]
    requests = [list(messages)]
    for number, results in enumerate(draw(st.lists(st.lists(WORDS, min_size=1, max_size=2), max_size=5))):
        ids = [f"c{number}_{at}" for at in range(len(results))]
        messages.append({"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": one} for one in ids]})
        messages += [
            {"role": "tool", "tool_call_id": one, "content": text * 6} for one, text in zip(ids, results, strict=True)
        ]
        requests.append(list(messages))
    return len(history), requests


async def fitted(budget: ContextBudget, history: int, requests: list[list[Message]]) -> tuple[Sent, Sent, list[Any]]:
    """What goes out for each request, what is asked for summaries, and what is put on record."""
    asked: Sent = []
    told: list[Any] = []

    async def ask(question: Question, _: Any) -> ModelAnswer:
        asked.append(list(question.messages))
        return says(f"summary {len(asked)}")

    spec = SimpleNamespace(context=budget, mode="conversational")
    log = SimpleNamespace(emit=lambda kind, data: told.append((kind, data)))
    run: Any = SimpleNamespace(
        compiled=SimpleNamespace(spec=spec), call=SimpleNamespace(history=(None,) * history), log=log, past=None
    )
    model = ModelSpec.model_validate({"model": "a/b", "contextTokens": 1_000})
    deployment: Any = SimpleNamespace(ref="models/a@1.0.0", spec=model)
    fitting, sent = ContextFitting(run, ask), []
    for messages in requests:
        try:
            sent.append(list((await fitting.fit(Question(messages, (), None), deployment)).messages))
        except ModelFailed:
            sent.append([])
    return sent, asked, told


@settings(max_examples=150, deadline=None)
@given(loops(), st.integers(150, 900), st.integers(1, 3), st.sampled_from(["fifo", "summary"]))
def test_every_request_fits(loop: tuple[int, list[list[Message]]], limit: int, keep: int, strategy: str) -> None:
    history, requests = loop
    written = {"maxTokens": limit, "keepTurns": keep, "strategy": strategy, "toolResultCharacters": 200}
    budget = ContextBudget.model_validate(written)
    sent, asked, told = asyncio.run(fitted(budget, history, requests))
    for messages in asked:
        assert messages_tokens(messages) <= min(limit, 750)
    for before, after in zip(requests, sent, strict=True):
        if not after:
            continue
        assert messages_tokens(after) <= min(limit, 750)
        assert after[0] == before[0]
        assert {"role": "user", "content": "go"} in after
        calls = {call["id"] for message in after for call in message.get("tool_calls", ())}
        assert calls == {message["tool_call_id"] for message in after if message["role"] == "tool"}
        if messages_tokens(before) <= min(limit, 750) and not any(len(str(m["content"])) > 200 for m in before):
            assert after == before
    assert asyncio.run(fitted(budget, history, requests)) == (sent, asked, told)
