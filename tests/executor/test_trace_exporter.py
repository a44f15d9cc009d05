"""Spans reach a real OTLP receiver over HTTP, whole; and a receiver that is away is in nobody's way."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from penstock.adapters.direct import DirectRuntime
from penstock.engine.spans import trace_spans
from penstock.errors import WrongUse
from penstock.executor.telemetry import trace_exporter
from penstock.executor.telemetry.trace_exporter import TraceExporter
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools
from penstock.testing.receiver import Receiver

Event = dict[str, Any]
KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3}
STATUS = {"UNSET": 0, "OK": 1, "ERROR": 2}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Of a run in a caller's trace, with two model calls, a tool call and one that failed."""

    async def recorded() -> list[Event]:
        provider = FakeProvider(asks(("weather", {"town": "Bonn"}), ("weather", {"town": 5})), says("done"))
        rig = Rig(DirectRuntime, "penstock", provider, FakeTools(weather=lambda _: {"degrees": 4}))
        await rig.run(rig.call(tools={"weather": {}}, session_id="s", parent_span_id="f" * 16, stage="prod"))
        return rig.sink.events()

    return asyncio.run(recorded())


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Receiver() as made:
        yield made


def base(receiver: Receiver) -> str:
    return receiver.url.removesuffix("/hook")


def spans_of(receiver: Receiver) -> tuple[dict[str, Any], list[Any]]:
    """The resource, and all spans that came."""
    resource: dict[str, Any] = {}
    found = []
    for one in receiver.received:
        assert (one.path, one.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for group in ExportTraceServiceRequest.FromString(one.body).resource_spans:
            resource |= {each.key: each.value.string_value for each in group.resource.attributes}
            found += [span for scope in group.scope_spans for span in scope.spans]
    return resource, found


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [value_of(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def test_the_spans_of_a_run_arrive_as_its_events_say(events: list[Event], receiver: Receiver) -> None:
    exporter = TraceExporter(base(receiver))
    for event in events:
        exporter.observe(event)
    exporter.start()
    exporter.close()
    resource, came = spans_of(receiver)
    assert (resource["service.name"], bool(resource["service.instance.id"])) == ("penstock", True)
    wanted = trace_spans(events)
    assert len(came) == len(wanted) == 5
    for got, span in zip(came, wanted, strict=True):
        assert (got.trace_id.hex(), got.span_id.hex()) == (span.trace_id, span.span_id)
        assert got.parent_span_id.hex() == span.parent_span_id
        assert (got.name, got.kind, got.status.code) == (span.name, KINDS[span.kind], STATUS[span.status])
        assert (got.start_time_unix_nano, got.end_time_unix_nano) == (
            span.start_time_unix_nano,
            span.end_time_unix_nano,
        )
        assert {one.key: value_of(one.value) for one in got.attributes} == span.attributes
    run = {one.key: value_of(one.value) for one in came[0].attributes}
    assert run["gen_ai.operation.name"] == "invoke_agent"
    assert run["gen_ai.usage.input_tokens"] == 20
    assert (exporter.exported, exporter.dropped) == (1, {})


def test_a_run_that_waits_for_a_person_is_sent_in_parts(events: list[Event], receiver: Receiver) -> None:
    exporter = TraceExporter(f"{base(receiver)}/v1/traces")
    for event in [*events[:4], {**events[3], "type": "run.interrupted", "spanId": events[0]["spanId"], "data": {}}]:
        exporter.observe(event)
    exporter.start()
    exporter.close()
    assert spans_of(receiver)[1][0].status.code == STATUS["UNSET"]
    assert not exporter._open


def test_what_is_too_much_is_given_up_and_counted(events: list[Event], receiver: Receiver) -> None:
    exporter = TraceExporter(base(receiver), queue=2)
    for number in range(5):
        for event in events:
            exporter.observe({**event, "runId": str(number)})
    exporter.start()
    exporter.close()
    assert (exporter.exported, exporter.dropped) == (2, {"queue": 3})
    assert not exporter._open


def test_runs_without_an_end_are_bounded(
    events: list[Event], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_exporter, "OPEN", 3)
    exporter = TraceExporter(base(receiver))
    for number in range(5):
        exporter.observe({**events[0], "runId": str(number)})
    assert (list(exporter._open), exporter.dropped) == (["2", "3", "4"], {"queue": 2})
    exporter.close()


@pytest.mark.parametrize("answer", [400, 0])
def test_a_receiver_that_does_not_take_them_holds_nobody_up(
    events: list[Event], receiver: Receiver, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    monkeypatch.setattr(trace_exporter, "EXPORT_S", 0.3)
    receiver.answers.extend([answer] * 9)
    exporter = TraceExporter(base(receiver))
    exporter.start()
    for event in events:
        exporter.observe(event)
    exporter.close()
    assert (exporter.exported, exporter.dropped) == (0, {"export": 1})
    assert not exporter._thread.is_alive()


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", "http://"])
def test_a_bad_address_is_named(url: str) -> None:
    with pytest.raises(WrongUse, match="OTLP"):
        TraceExporter(url)
