import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, ClassVar

import pytest

from penstock.engine import patience
from penstock.engine.call import RunCall
from penstock.engine.engine import Engine
from penstock.engine.journal import Journal
from penstock.engine.sequence import sequence_of
from penstock.engine.spans import trace_spans
from penstock.executor.replay import StoredRun, compare
from penstock.llm.provider import LiteLLMProvider
from penstock.llm.refusal import model_failed
from penstock.pal import ModelAnswer, ModelCall, ModelFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_release
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools
from penstock.testing.model_server import ModelServer

MakeRig = Callable[..., Rig]


def busy(after_s: float | None = None) -> ModelFailed:
    return ModelFailed("429, slow down", where="fake", now="wait", retryable=True, retry_after_s=after_s)


def waits(rig: Rig) -> list[dict[str, Any]]:
    return [event["data"] for event in rig.sink.events() if event["type"] == "llm.retried"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.005)


async def test_a_moment_later_it_goes_well_and_each_wait_is_an_event(rig: MakeRig) -> None:
    one = rig(FakeProvider(busy(), busy(), says("done")))
    result = await one.run()
    assert (result.status, result.output, result.usage.model_calls) == ("finished", "done", 1)
    assert len(one.provider.calls) == 3
    told = waits(one)
    assert [(data["attempt"], data["why"], data["model"], data["n"]) for data in told] == [
        (1, "429, slow down", "fake", 1),
        (2, "429, slow down", "fake", 1),
    ]
    assert 0.005 <= told[0]["waitS"] <= 0.01 <= told[1]["waitS"] <= 0.015
    assert one.types() == ["run.started", "llm.started", "llm.retried", "llm.retried", "llm.finished", "run.finished"]
    one.require_sound_events()


async def test_attempts_are_bounded_and_the_last_reason_is_the_failure(rig: MakeRig) -> None:
    one = rig(FakeProvider(lambda _: (_ for _ in ()).throw(busy())))
    result = await one.run()
    assert result.failure is not None
    assert (result.status, result.failure.code, result.failure.what) == ("failed", "model", "429, slow down")
    assert len(one.provider.calls) == patience.ATTEMPTS == 4
    assert len(waits(one)) == 3
    one.require_sound_events()


async def test_what_no_patience_mends_is_asked_once(rig: MakeRig) -> None:
    one = rig(FakeProvider(ModelFailed("401, the key", where="fake")))
    result = await one.run()
    assert (result.status, len(one.provider.calls), waits(one)) == ("failed", 1, [])


async def test_the_first_refusal_may_be_followed_by_another_kind(rig: MakeRig) -> None:
    one = rig(FakeProvider(busy(), ModelFailed("400, malformed", where="fake"), says("never")))
    result = await one.run()
    assert result.failure is not None
    assert (result.failure.what, len(one.provider.calls)) == ("400, malformed", 2)


async def test_the_providers_own_wait_is_honoured(rig: MakeRig) -> None:
    one = rig(FakeProvider(busy(0.2), says("done")))
    begun = time.monotonic()
    assert (await one.run()).finished
    assert time.monotonic() - begun >= 0.2
    assert 0.2 <= waits(one)[0]["waitS"] <= 0.205


@pytest.mark.parametrize("after_s", [30.0, 61.0])
async def test_nobody_waits_past_the_runs_time_or_a_minute(rig: MakeRig, after_s: float) -> None:
    one = rig(FakeProvider(busy(after_s), says("never")))
    limits = {"timeoutMs": 20_000 if after_s == 30 else 600_000}
    begun = time.monotonic()
    result = await one.run(one.call({"limits": limits}))
    assert result.failure is not None
    assert (result.failure.code, len(one.provider.calls)) == ("model", 1)
    assert time.monotonic() - begun < 5


async def test_each_attempt_gets_what_is_left_of_the_time(rig: MakeRig) -> None:
    one = rig(FakeProvider(busy(0.2), says("done")))
    await one.run(one.call({"limits": {"timeoutMs": 5_000}}))
    first, second = (call.timeout_s for call in one.provider.calls)
    assert first - second >= 0.2


async def test_a_cancel_in_the_wait_ends_at_once(rig: MakeRig) -> None:
    one = rig(FakeProvider(busy(20.0), says("never")))
    handle = one.start()
    await one.provider.asked.wait()
    async for event in handle.events():
        if event["type"] == "llm.retried":
            handle.cancel("enough")
    begun = time.monotonic()
    result = await handle.result()
    assert (result.status, len(one.provider.calls)) == ("cancelled", 1)
    assert time.monotonic() - begun < 5
    span = trace_spans(one.sink.events())[1]
    assert span.status == "ERROR"


async def test_an_answer_that_was_heard_in_part_is_not_asked_for_again(rig: MakeRig) -> None:
    async def breaks_off(call: ModelCall) -> ModelAnswer:
        assert call.on_delta is not None
        call.on_delta("half of ")
        raise busy()

    one = rig(FakeProvider(breaks_off))
    result = await one.run(one.call(stream=True))
    assert (result.status, len(one.provider.calls)) == ("failed", 1)


async def test_a_stream_that_never_began_is_asked_for_again(rig: MakeRig) -> None:
    one = rig(FakeProvider(busy(), says("all of it")))
    handle = one.start(one.call(stream=True))
    heard = [event["data"]["text"] async for event in handle.events() if event["type"] == "token.delta"]
    assert ((await handle.result()).output, "".join(heard)) == ("all of it", "all of it")


async def test_journal_and_replay_know_the_last_answer_only(rig: MakeRig) -> None:
    script = (busy(), asks(("weather", {"town": "Bonn"})), busy(), says("4 degrees"))
    one = rig(FakeProvider(*script), FakeTools(weather=lambda _: {"degrees": 4}))
    call = one.call(tools={"weather": {}}, mode="eval")
    handle = one.start(call)
    result = await handle.result()
    assert handle.journal is not None
    assert len([entry for entry in handle.journal.entries if entry.door == "model"]) == 2
    again = rig(FakeProvider(), FakeTools())
    engine: Engine = again.engine
    replayed = engine.start(
        replace(call, mode="replay", run_id="again", journal=Journal.from_jsonl(handle.journal.to_jsonl()))
    )
    assert (await replayed.result()).output == result.output
    assert sequence_of(replayed.past_events) == sequence_of(handle.past_events)
    assert len(waits(one)) == 2
    stored = StoredRun(result.as_document(), "hello", result.output, (), handle.journal, tuple(handle.past_events))
    assert compare(stored, await replayed.result(), replayed.past_events).sequence_equal


async def test_a_storm_that_passes_leaves_no_trace_in_the_results(rig: MakeRig) -> None:
    refusals = iter(range(60))

    def stormy(_: ModelCall) -> ModelAnswer:
        if next(refusals, None) is not None:
            raise busy()
        return says("done")

    one = rig(FakeProvider(stormy))
    results = await asyncio.gather(*(one.start(one.call(run_id=f"r{i}")).result() for i in range(25)))
    assert {result.status for result in results} == {"finished"}
    assert len(one.provider.calls) == 85


async def test_over_the_wire_a_refusal_is_followed_by_an_answer(rig: MakeRig, model_server: ModelServer) -> None:
    one = rig(FakeProvider())
    engine = Engine(one.engine.runtimes, LiteLLMProvider({}), FakeTools(), one.sink)
    release, body = example_release(model={"model": "openai/qa-rules", "parameters": model_server.parameters})
    model_server.next_faults("status-429")
    before = model_server.statistics.requests
    begun = time.monotonic()
    result = await engine.start(RunCall(release=release, prompt_body=body, runtime=one.name, input="hello")).result()
    assert result.finished, result.failure
    assert time.monotonic() - begun >= 1.0  # the server's Retry-After
    assert model_server.statistics.requests - before == 2
    assert waits(one)[0]["waitS"] >= 1.0


@pytest.fixture
def model_server() -> Any:
    with ModelServer() as server:
        yield server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2020 07:43:12 GMT", 0.0),
        ("7.5", None),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after_in_seconds_is_read_as_http_says(text: str, expected: float | None) -> None:
    assert retry_after_s(text) == expected


def test_retry_after_as_a_date_is_the_time_until_then() -> None:
    found = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert found is not None
    assert 3_500 < found <= 3_600


def retry_after_s(text: str) -> float | None:
    class Refusal(Exception):
        status_code = 429
        litellm_response_headers: ClassVar[dict[str, str]] = {"retry-after": text}

    failed = model_failed(Refusal(), ModelCall("models/a@1.0.0", "a/b", {}, None, []), ())
    assert isinstance(failed, ModelFailed)
    assert failed.retryable
    return failed.retry_after_s
