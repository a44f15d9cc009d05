"""TraceSpans as the OpenTelemetry SDK has them; the only importer of the SDK beside the exporter."""

from collections.abc import Iterable
from typing import Any

from penstock import __version__
from penstock.contracts.span import TraceSpan


def otel_spans(spans: Iterable[TraceSpan], resource: Any) -> list[Any]:
    """The spans in the SDK's form, of that resource."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    def context(trace_id: str, span_id: str, *, is_remote: bool) -> SpanContext:
        return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))

    scope = InstrumentationScope("penstock", __version__)
    return [
        ReadableSpan(
            name=span.name,
            context=context(span.trace_id, span.span_id, is_remote=False),
            parent=context(span.trace_id, span.parent_span_id, is_remote=span.kind == "SERVER")
            if span.parent_span_id is not None
            else None,
            resource=resource,
            attributes=span.attributes,
            kind=SpanKind[span.kind],
            status=Status(StatusCode[span.status]),
            start_time=span.start_time_unix_nano,
            end_time=span.end_time_unix_nano,
            instrumentation_scope=scope,
        )
        for span in spans
    ]


def executor_resource(instance: str) -> Any:
    """What all spans of one executor share; OTEL_RESOURCE_ATTRIBUTES adds to it."""
    from opentelemetry.sdk.resources import Resource

    return Resource.create(
        {"service.name": "penstock", "service.version": __version__, "service.instance.id": instance}
    )
