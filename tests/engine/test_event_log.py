from penstock.adapters.direct import DirectRuntime
from penstock.engine.compiled import CompiledRelease
from penstock.engine.event_log import EventLog, now
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider
from penstock.testing.fake_tools import FakeTools
from penstock.testing.memory_sink import MemorySink


def log() -> tuple[EventLog, MemorySink]:
    call = Rig(DirectRuntime, "penstock", FakeProvider(), FakeTools()).call()
    sink = MemorySink()
    return EventLog(call, CompiledRelease(call.release, call.prompt_body), sink, "a" * 16), sink


async def test_nothing_is_emitted_after_the_terminal_event() -> None:
    one, sink = log()
    one.emit("run.started", {})
    one.emit("run.finished", {})
    assert one.emit("tool.finished", {}) is None
    assert one.emit("run.failed", {}) is None
    assert [event["type"] for event in sink.events()] == ["run.started", "run.finished"]


async def test_the_terminal_event_is_shown_once_it_is_durable() -> None:
    one, _ = log()
    one.emit("run.started", {})
    one.emit("run.finished", {})
    assert [event["type"] for event in one.past] == ["run.started"]
    listening = one.listen(0, None)
    one.end()
    assert [event["type"] async for event in listening] == ["run.started", "run.finished"]
    assert [event["type"] async for event in one.listen(1, None)] == ["run.finished"]


async def test_a_listener_that_comes_late_misses_the_deltas_and_no_event() -> None:
    one, _ = log()
    one.delta("lost")
    one.emit("run.started", {})
    listening = one.listen(0, None)
    one.delta("heard")
    one.emit("run.finished", {})
    one.end()
    heard = [event async for event in listening]
    assert [event["type"] for event in heard] == ["run.started", "token.delta", "run.finished"]
    assert heard[1]["data"] == {"after": 1, "index": 1, "text": "heard"}


def test_times_are_utc_with_microseconds_and_sort() -> None:
    times = [now() for _ in range(1000)]
    assert times == sorted(times)
    assert all(len(time) == 27 and time[10] == "T" and time.endswith("Z") for time in times)
