"""Answers of runs that are given again: what hits, what never does, what is on record."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.engine.call import RunCall, new_run_id
from penstock.engine.journal import Journal
from penstock.engine.result import RunResult, RunUsage
from penstock.errors import Unavailable
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, Usage
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import ALLOW_ALL, example_release
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]
CACHED: dict[str, Any] = {"cache": {"semantic": {}}}
ASKED = "How do I reset my password?"
REWORDED = "How can I reset my password?"


def counted() -> FakeProvider:
    """Answers each call with its number."""

    def answer(_: ModelCall) -> ModelAnswer:
        return says(f"answer {len(provider.calls)}")

    provider = FakeProvider(answer)
    return provider


async def ask(rig: Rig, call: RunCall, text: str = ASKED, **fields: Any) -> RunResult:
    return await rig.run(replace(call, input=text, run_id=new_run_id(), **fields))


async def test_an_equal_input_costs_nothing_and_says_so(rig: MakeRig) -> None:
    one = rig(counted())
    call = one.call(CACHED, stream=True)
    first = await ask(one, call)
    handle = one.start(replace(call, input=ASKED, run_id=new_run_id()))
    heard = [event["data"]["text"] async for event in handle.events() if event["type"] == "token.delta"]
    again = await handle.result()
    assert (first.output, again.output, "".join(heard)) == ("answer 1", "answer 1", "answer 1")
    assert "cached" not in first.as_document()
    assert again.as_document()["cached"] is True
    assert again.usage == RunUsage()
    events = one.sink.events(again.run_id)
    [hit] = [event["data"] for event in events if event["type"] == "cache.hit"]
    assert hit == {"kind": "exact", "similarity": 1.0}
    assert not any(event["type"].startswith("llm.") for event in events)


async def test_a_similar_input_hits_from_the_threshold_on(rig: MakeRig) -> None:
    one = rig(counted())
    call = one.call(CACHED)
    await ask(one, call)
    again = await ask(one, call, REWORDED)
    assert again.cached
    [hit] = [event["data"] for event in one.sink.events(again.run_id) if event["type"] == "cache.hit"]
    assert hit["kind"] == "similar"
    assert 0.95 <= hit["similarity"] < 1
    assert not (await ask(one, call, "How do I cancel my order?")).cached
    strict = one.call({"cache": {"semantic": {"threshold": 1.0}}})
    await ask(one, strict)
    assert not (await ask(one, strict, REWORDED)).cached


async def test_without_the_extra_equal_inputs_alone_hit(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise Unavailable("not installed")

    monkeypatch.setattr("penstock.engine.cache.answers.load_vectors", missing)
    one = rig(counted())
    call = one.call(CACHED)
    await ask(one, call)
    assert (await ask(one, call)).cached
    assert not (await ask(one, call, REWORDED)).cached


@pytest.mark.parametrize(
    "fields",
    [
        {"tenant": "other"},
        {"stage": "canary"},
        {"mode": "eval"},
        {"mode": "dry"},
        {"uses_cache": False},
        {"complexity": "simple"},
    ],
)
async def test_another_situation_never_hits(rig: MakeRig, fields: dict[str, Any]) -> None:
    one = rig(counted())
    call = one.call(CACHED, tenant="acme", stage="prod")
    await ask(one, call)
    assert (await ask(one, call)).cached
    assert not (await ask(one, call, **fields)).cached


async def test_another_release_never_hits(rig: MakeRig) -> None:
    one = rig(counted())
    await ask(one, one.call(CACHED))
    assert not (await ask(one, one.call({**CACHED, "limits": {"maxSteps": 3}}))).cached


async def test_a_caller_who_wants_no_cache_leaves_nothing_in_it(rig: MakeRig) -> None:
    one = rig(counted())
    call = one.call(CACHED)
    await ask(one, call, uses_cache=False)
    assert not (await ask(one, call)).cached


async def test_users_are_apart_where_policies_name_users(rig: MakeRig) -> None:
    one = rig(counted())
    await ask(one, one.call(CACHED), user="ada")
    assert (await ask(one, one.call(CACHED), user="bob")).cached
    deny = {"name": "not-eve", "effect": "deny", "subjects": ["user:eve"], "actions": ["tool.call"]}
    named = one.call(CACHED, rules=[*ALLOW_ALL, deny])
    await ask(one, named, user="ada")
    assert not (await ask(one, named, user="bob")).cached
    assert (await ask(one, named, user="ada")).cached


async def test_a_conversation_is_never_answered_from_it(rig: MakeRig) -> None:
    one = rig(counted())
    call = one.call({**CACHED, "mode": "conversational"}, session_id="s-1")
    await ask(one, call)
    assert not (await ask(one, call)).cached


async def test_an_agent_that_writes_always_works(rig: MakeRig) -> None:
    one = rig(counted())
    call = one.call(CACHED, tools={"weather": {"sideEffects": "write"}})
    await ask(one, call)
    assert not (await ask(one, call)).cached


async def test_what_was_not_answered_well_is_not_kept(rig: MakeRig) -> None:
    failing = rig(FakeProvider(asks(("weather", {"town": "Bonn"})), says("I could not look"), says("warm")))
    call = failing.call(CACHED, tools={"weather": {}})
    await ask(failing, call)
    assert (await ask(failing, call)).output == "warm", "a tool had failed"
    spare = rig(FakeProvider(ModelFailed("away"), says("from the spare"), says("well")))
    call = spare.call({**CACHED, "fallback": {"models": ["models/spare@1.0.0"]}})
    await ask(spare, call)
    assert (await ask(spare, call)).output == "well", "a spare model had answered"


async def test_personal_data_is_not_kept(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("Write to ada@example.org.")))
    call = one.call(CACHED)
    assert (await ask(one, call)).output == "Write to ada@example.org."
    again = await ask(one, call)
    assert again.cached
    assert "ada@" not in again.output
    form = {"type": "object", "properties": {"mail": {"type": "string", "pattern": "@"}}, "required": ["mail"]}
    shaped = rig(FakeProvider(lambda _: says('{"mail": "ada@example.org"}')))
    call = shaped.call({**CACHED, "output": {"schema": form}})
    await ask(shaped, call)
    assert not (await ask(shaped, call)).cached, "what is left fits the schema no more"


async def test_a_replay_of_a_hit_gives_the_same(rig: MakeRig) -> None:
    one = rig(counted())
    call = one.call(CACHED)
    await ask(one, call)
    again = await ask(one, call, REWORDED)
    bodies = [p["body"] for p in one.sink.of("payload") if p["role"] == "journal" and p["runId"] == again.run_id]
    journal = Journal.from_jsonl(Journal.from_entries(bodies, {"case": "x"}).to_jsonl())
    result = await ask(rig(FakeProvider()), replace(call, runtime=one.name), REWORDED, mode="replay", journal=journal)
    assert (result.output, result.usage, result.cached) == (again.output, again.usage, True)


async def test_a_hit_draws_on_no_limit(rig: MakeRig) -> None:
    dear = says("well", Usage(10, 5, 0.9))
    one = rig(FakeProvider(dear, says("unasked")))
    call = one.call({**CACHED, "limits": {"maxCostUsd": 1.0, "maxModelCalls": 1}})
    results = [await ask(one, call) for _ in range(5)]
    assert all(result.finished for result in results)
    assert [result.usage.cost_usd for result in results] == [0.9, 0.0, 0.0, 0.0, 0.0]


async def test_no_tenant_ever_hears_another_ones_answer(rig: MakeRig) -> None:
    """A random interleaving of tenants and texts; the fake model says whose run it answers."""
    chance = random.Random(11)
    tenants = [None, "acme", "umbrella", "wayne"]
    texts = [ASKED, REWORDED, "How may I reset my password?", "Where is my parcel now?", "Where's my parcel now?"]
    one = rig(FakeProvider(lambda call: says(call.messages[-1]["content"])))
    releases = [example_release(CACHED), example_release({**CACHED, "limits": {"maxSteps": 7}})]
    told: dict[tuple[Any, str], set[str]] = {}
    hits = 0
    for _ in range(400):
        tenant, text = chance.choice(tenants), chance.choice(texts)
        release, body = chance.choice(releases)
        call = replace(one.call(), release=release, prompt_body=body, tenant=tenant)
        result = await ask(one, call, text)
        known = told.setdefault((tenant, release.digest), set())
        assert result.output in known if result.cached else result.output == text
        known.add(result.output)
        hits += result.cached
    assert 300 < hits < 400


async def test_two_tenants_at_once_stay_apart(rig: MakeRig) -> None:
    """The same words at the same time: each tenant pays for its own first answer."""
    import asyncio

    one = rig(counted())
    call = one.call(CACHED)
    tenants = [f"tenant-{number % 5}" for number in range(20)]
    await asyncio.gather(*(ask(one, call, tenant=tenant) for tenant in tenants))
    before = len(one.provider.calls)
    again = await asyncio.gather(*(ask(one, call, tenant=tenant) for tenant in tenants))
    assert len(one.provider.calls) == before
    for tenant in set(tenants):
        assert len({result.output for result, whose in zip(again, tenants, strict=True) if whose == tenant}) == 1
    assert len({result.output for result in again}) == 5


async def test_old_answers_are_gone(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    one = rig(counted())
    call = one.call({"cache": {"semantic": {"ttlS": 5, "entries": 1}}})
    shelf = one.engine._answers._shelf
    now = 100.0
    monkeypatch.setattr(shelf, "_clock", lambda: now)
    await ask(one, call)
    now += 4
    assert (await ask(one, call)).cached
    now += 1
    assert not (await ask(one, call)).cached
    await ask(one, call, "Where is my parcel now?")
    assert not (await ask(one, call)).cached, "one entry was to be kept"


async def test_a_fake_tool_is_asked_again_only_where_it_says_so(rig: MakeRig) -> None:
    warm = FakeTools(weather=lambda _: {"degrees": 4})
    bonn = asks(("weather", {"town": "Bonn"}))
    one = rig(FakeProvider(bonn, says("a"), bonn, says("b"), bonn, says("c"), bonn, says("d")), warm)
    call = one.call(tools={"weather": {"cache": {"ttlS": 60}}}, tenant="acme")
    results = [await ask(one, call) for _ in range(2)]
    assert len(warm.calls) == 1
    finished = [e["data"] for e in one.sink.events() if e["type"] == "tool.finished"]
    assert [data["source"] for data in finished] == ["tool", "cache"]
    assert len({data["resultDigest"] for data in finished}) == 1
    bodies = [p["body"] for p in one.sink.of("payload") if p["role"] == "journal" and p["runId"] == results[1].run_id]
    again = await ask(rig(FakeProvider()), call, mode="replay", journal=Journal.from_entries(bodies))
    assert (again.output, again.usage) == ("b", results[1].usage)
    await ask(one, call, tenant="umbrella")
    assert len(warm.calls) == 2
    await ask(one, call, uses_cache=False)
    assert len(warm.calls) == 3
