"""The context budget in runs: what the model is sent, what is on record, and that a replay does the same."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from penstock.engine.call import new_run_id
from penstock.engine.context.token_count import messages_tokens
from penstock.engine.journal import Journal
from penstock.pal import ModelAnswer, ModelCall, ModelFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]
WEATHER: dict[str, Any] = {"weather": {}}
HISTORY = tuple(
    {"role": role, "content": f"{text} {number}: " + "words of little weight " * 8}
    for number in range(6)
    for role, text in (("user", "question"), ("assistant", "answer"))
)


def chatting(**context: Any) -> dict[str, Any]:
    return {"mode": "conversational", "context": context}


def cuts(rig: Rig, run_id: str | None = None) -> list[dict[str, Any]]:
    return [event["data"] for event in rig.sink.events(run_id) if event["type"] == "context.cut"]


async def replayed(rig: Rig, run_id: str, call: Any) -> tuple[Any, list[str], list[dict[str, Any]]]:
    """A replay of the run from what was stored of it, its result, sequence and cuts."""
    bodies = [p["body"] for p in rig.sink.of("payload") if p["role"] == "journal" and p["runId"] == run_id]
    again = replace(call, mode="replay", journal=Journal.from_entries(bodies), run_id=new_run_id())
    handle = rig.start(again)
    result = await handle.result()
    return result, [event["type"] for event in rig.sink.events(handle.run_id)], cuts(rig, handle.run_id)


async def test_the_oldest_turns_fall_out(rig: MakeRig) -> None:
    provider = FakeProvider(says("well"))
    one = rig(provider)
    call = one.call(chatting(maxTokens=600), history=HISTORY)
    result = await one.run(call)
    assert result.finished
    sent = provider.calls[0].messages
    assert sent[0]["role"] == "system"
    assert sent[-1] == {"role": "user", "content": "hello"}
    assert list(sent[1:-1]) == list(HISTORY[-len(sent) + 2 :]), "the newest turns, whole and in order"
    [cut] = cuts(one)
    assert cut["strategy"] == "fifo"
    assert cut["turns"] == (len(HISTORY) - len(sent) + 2) / 2 > 0
    assert cut["tokensBefore"] > 600 >= cut["tokensAfter"] == messages_tokens(sent)
    one.require_sound_events()


async def test_without_a_budget_all_goes_out(rig: MakeRig) -> None:
    provider = FakeProvider(says("well"))
    one = rig(provider)
    await one.run(one.call({"mode": "conversational"}, history=HISTORY * 20))
    assert len(provider.calls[0].messages) == len(HISTORY) * 20 + 2
    assert not cuts(one)


def summing(call: ModelCall) -> ModelAnswer:
    """Sums up what it is asked to sum up, and says all else at once."""
    is_summary = call.messages[0]["content"].startswith("You sum up")
    return says(f"{len(call.messages[1]['content'])} characters summed up" if is_summary else "well")


async def test_the_model_sums_up_what_falls_out(rig: MakeRig) -> None:
    provider = FakeProvider(summing)
    one = rig(provider)
    call = one.call(chatting(maxTokens=800, strategy="summary", keepTurns=2), history=HISTORY, stream=True)
    handle = one.start(call)
    result = await handle.result()
    asked, sent = provider.calls
    assert "question 0" in asked.messages[1]["content"]
    assert "question 4" not in asked.messages[1]["content"]
    assert sent.messages[1]["content"].endswith("characters summed up")
    assert [message["content"] for message in sent.messages[2:-1]] == [one["content"] for one in HISTORY[-4:]]
    assert cuts(one)[0]["strategy"] == "summary"
    assert cuts(one)[0]["turns"] == 4
    assert result.usage.model_calls == 2
    assert result.usage.total_tokens == 30
    again, types, cut_again = await replayed(one, result.run_id, call)
    assert again.output == result.output == "well"
    assert again.usage == result.usage
    assert types == [event["type"] for event in one.sink.events(result.run_id)]
    assert cut_again == cuts(one, result.run_id)


async def test_a_summary_is_not_heard(rig: MakeRig) -> None:
    one = rig(FakeProvider(summing))
    call = one.call(chatting(maxTokens=800, strategy="summary"), history=HISTORY, stream=True)
    heard = [event["data"]["text"] async for event in one.start(call).events() if event["type"] == "token.delta"]
    assert "".join(heard) == "well"


async def test_a_failed_summary_is_a_plain_cut(rig: MakeRig) -> None:
    provider = FakeProvider(ModelFailed("no summary today"), says("well"))
    one = rig(provider)
    result = await one.run(one.call(chatting(maxTokens=700, strategy="summary"), history=HISTORY))
    assert result.finished
    [cut] = cuts(one)
    assert cut["strategy"] == "fifo"
    assert cut["why"] == "no summary: no summary today"


def looking(rounds: int) -> Callable[[ModelCall], ModelAnswer]:
    """Asks for the weather `rounds` times, then says so."""

    def answer(call: ModelCall) -> ModelAnswer:
        if call.messages[0]["content"].startswith("You sum up"):
            return says("the weather was asked for")
        answer.asked += 1  # type: ignore[attr-defined]
        asked: int = answer.asked  # type: ignore[attr-defined]
        return asks(("weather", {"town": f"town {asked}"})) if asked <= rounds else says("done")

    answer.asked = 0  # type: ignore[attr-defined]
    return answer


@pytest.mark.parametrize("strategy", ["fifo", "summary"])
async def test_a_loop_stays_within_the_limit_and_a_replay_cuts_the_same(rig: MakeRig, strategy: str) -> None:
    lengths = random.Random(3)

    def weather(_: Mapping[str, Any]) -> dict[str, Any]:
        return {"degrees": 4, "note": "fair and mild " * lengths.randint(5, 60)}

    provider = FakeProvider(looking(9))
    one = rig(provider, FakeTools(weather=weather))
    agent = {
        "context": {"maxTokens": 1_200, "strategy": strategy, "toolResultCharacters": 300},
        "limits": {"maxSteps": 60, "maxModelCalls": 60},
    }
    call = one.call(agent, tools=WEATHER)
    result = await one.run(call)
    assert result.output == "done"
    for asked in provider.calls:
        assert messages_tokens(asked.messages) <= 1_200
        asks_itself = asked.messages[0]["content"].startswith("You sum up")
        assert asks_itself or {"role": "user", "content": "hello"} in asked.messages, "the input stays"
        known = {call["id"] for message in asked.messages for call in message.get("tool_calls", ())}
        assert {message["tool_call_id"] for message in asked.messages if message["role"] == "tool"} == known
        assert all(len(m["content"]) <= 300 for m in asked.messages if m["role"] == "tool")
    assert len(cuts(one)) > 3
    summaries = sum(asked.messages[0]["content"].startswith("You sum up") for asked in provider.calls)
    assert (summaries > 0) == (strategy == "summary")
    assert result.usage.model_calls == 10 + summaries
    again, types, cut_again = await replayed(one, result.run_id, call)
    assert again.output == "done"
    assert again.usage == result.usage
    assert types == [event["type"] for event in one.sink.events(result.run_id)]
    assert cut_again == cuts(one, result.run_id)


async def test_what_must_stay_and_does_not_fit_is_told_and_never_sent(rig: MakeRig) -> None:
    provider = FakeProvider(says("well"))
    one = rig(provider)
    result = await one.run(one.call({"context": {"maxTokens": 200}}, input="long " * 200))
    assert not provider.calls
    assert result.failure is not None
    assert result.failure.code == "model"
    assert "200 may be sent" in result.failure.what


async def test_a_repair_turn_keeps_the_input(rig: MakeRig) -> None:
    provider = FakeProvider(says("no JSON " * 40), says('{"a": 1}'))
    one = rig(provider)
    agent = {"context": {"maxTokens": 700}, "output": {"schema": {"type": "object", "required": ["a"]}}}
    result = await one.run(one.call(agent, input="the task"))
    assert result.output == {"a": 1}
    roles = [message["role"] for message in provider.calls[1].messages]
    assert roles[:2] == ["system", "user"]
    assert provider.calls[1].messages[1]["content"] == "the task"
    assert roles[-1] == "user"
