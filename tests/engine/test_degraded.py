"""Degraded runs: a model of the release's own is asked first, it is told once, and a replay takes the same way."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.routing_table import DegradedEntry
from penstock.engine.degraded import degraded_before
from penstock.engine.journal import Journal
from penstock.pal import ModelFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, says

SPARES = {"fallback": {"models": ["models/second@1.0.0", "models/small@1.0.0"]}}
MakeRig = Callable[..., Rig]


def to(model: str) -> DegradedEntry:
    return DegradedEntry(model=model, by="ada@example.org", since="2026-11-20T10:00:00Z", reason="too dear")


def asked(one: Rig) -> list[str]:
    return [call.ref for call in one.provider.calls]


def told(one: Rig) -> list[dict[str, Any]]:
    return [event["data"] for event in one.sink.events() if event["type"] == "fallback.used"]


@pytest.mark.parametrize("model", ["models/small@1.0.0", "models/small@2.0.0"])
async def test_the_model_is_asked_first_and_the_reason_is_on_record(rig: MakeRig, model: str) -> None:
    one = rig(FakeProvider(says("hi")))
    result = await one.run(one.call(SPARES, degraded=to(model)))
    assert asked(one) == ["models/small@1.0.0"], "a release that pins another version of it asks that one"
    word = {"kind": "degrade", "from": "models/fake@1.0.0", "to": "models/small@1.0.0", "why": "too dear"}
    assert told(one) == [{**word, "by": "ada@example.org", "since": "2026-11-20T10:00:00Z"}]
    assert list(result.fallbacks) == told(one)


async def test_the_others_follow_in_their_own_order(rig: MakeRig) -> None:
    one = rig(FakeProvider(ModelFailed("no"), ModelFailed("no"), says("hi")))
    assert (await one.run(one.call(SPARES, degraded=to("models/small@1.0.0")))).output == "hi"
    assert asked(one) == ["models/small@1.0.0", "models/fake@1.0.0", "models/second@1.0.0"]
    assert [data["kind"] for data in told(one)] == ["degrade", "model", "model"]


@pytest.mark.parametrize("model", ["models/other@1.0.0", "models/fake@1.0.0"])
async def test_a_release_without_the_model_or_with_it_as_its_own_is_as_it_was(rig: MakeRig, model: str) -> None:
    one = rig(FakeProvider(says("hi")))
    assert (await one.run(one.call(SPARES, degraded=to(model)))).fallbacks == ()
    assert asked(one) == ["models/fake@1.0.0"]
    assert told(one) == []


async def test_a_replay_takes_the_same_way(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("hi")))
    await one.run(one.call(SPARES, degraded=to("models/small@1.0.0")))
    events = one.sink.events()
    entries = [record["body"] for record in one.sink.of("payload") if record["role"] == "journal"]
    again = rig(FakeProvider())
    call = one.call(SPARES, mode="replay", journal=Journal.from_entries(entries), degraded=degraded_before(events))
    result = await again.run(call)
    assert (result.status, result.output, asked(again)) == ("finished", "hi", [])
    assert told(again) == told(one)
    assert degraded_before([event for event in events if event["type"] != "fallback.used"]) is None


async def test_of_models_by_complexity_another_one_is_asked_first(rig: MakeRig) -> None:
    tiers = {"simple": "models/small@1.0.0", "medium": "models/fake@1.0.0", "complex": "models/big@1.0.0"}
    one = rig(FakeProvider(lambda _: says("hi")))
    word = to("models/small@1.0.0")
    for complexity in (None, "complex", "simple"):
        await one.run(one.call({"modelRef": tiers}, degraded=word, complexity=complexity, run_id=str(complexity)))
    assert set(asked(one)) == {"models/small@1.0.0"}
    assert [data["from"] for data in told(one)] == ["models/fake@1.0.0", "models/big@1.0.0"]
