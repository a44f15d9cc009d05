"""TraceExporter: the spans of runs to an OTLP receiver, in a thread, bounded, and never in the way of a run."""

import logging
import threading
import uuid
from collections import Counter, deque
from typing import Any
from urllib.parse import urlsplit

from penstock.contracts.event import TERMINAL
from penstock.engine.spans import trace_spans
from penstock.errors import Unavailable, WrongUse
from penstock.executor.telemetry.otel_span import executor_resource, otel_spans

LOG = logging.getLogger("penstock.executor")
PATH = "/v1/traces"
QUEUE = 2_048
OPEN = 20_000
AT_ONCE = 64
TURN_S = 1.0
EXPORT_S = 5.0
FLUSH_S = 5.0
_LAST = TERMINAL | {"run.interrupted"}

Event = dict[str, Any]


class TraceExporter:
    """An observer of a sink; `url` is the receiver's, as http://127.0.0.1:4318.

    Headers and certificates are those of OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_HEADERS and the like). A
    run's spans are derived from its events once it is over, in the thread. At most `queue` runs wait; what is given up
    is counted. Raises `Unavailable` where the libraries are missing, `WrongUse` for a bad URL.
    """

    def __init__(self, url: str, *, queue: int = QUEUE) -> None:
        self.exported = 0
        self.dropped: Counter[str] = Counter()
        self._place = _endpoint(url)
        self._exporter, self._results = _exporter(self._place)
        self._resource = executor_resource(uuid.uuid4().hex)
        self._most = queue
        self._open: dict[str, list[Event]] = {}
        self._queue: deque[list[Event]] = deque()
        self._wake = threading.Event()
        self._is_over = self._is_away = False
        self._thread = threading.Thread(target=self._work, name="penstock-traces", daemon=True)

    def observe(self, event: Event) -> None:
        """Keeps the event until its run is over, or goes on elsewhere."""
        run_id = event["runId"]
        events = self._open.get(run_id)
        if events is None:
            if len(self._open) >= OPEN:  # of runs whose end the disk did not take
                del self._open[next(iter(self._open))]
                self.dropped["queue"] += 1
            events = self._open[run_id] = []
        events.append(event)
        if event["type"] in _LAST:
            del self._open[run_id]
            if len(self._queue) >= self._most:
                self.dropped["queue"] += 1
                return
            self._queue.append(events)
            if len(self._queue) >= AT_ONCE:
                self._wake.set()

    def start(self) -> None:
        """Begins to export."""
        self._thread.start()

    def close(self) -> None:
        """Exports what waits, for at most 5 s; what is left then is counted as dropped."""
        self._is_over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(FLUSH_S)
        self._exporter.shutdown()
        while self._queue:
            self._queue.popleft()
            self.dropped["export"] += 1

    def _work(self) -> None:
        while True:
            self._wake.wait(TURN_S)
            self._wake.clear()
            over = self._is_over
            while self._queue:
                self._export([self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))])
            if over:
                return

    def _export(self, runs: list[list[Event]]) -> None:
        try:
            spans = [span for events in runs for span in otel_spans(trace_spans(events), self._resource)]
            is_taken = self._exporter.export(spans) is self._results.SUCCESS
        except Exception as error:  # the exporter is another's: whatever it raises must not end the thread
            LOG.error("traces failed: %r", error)
            is_taken = False
        if is_taken:
            self.exported += len(runs)
        else:
            self.dropped["export"] += len(runs)
        if self._is_away is is_taken:
            self._is_away = not is_taken
            LOG.warning("traces %s at %s", "are taken again" if is_taken else "are not taken", self._place)


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise WrongUse("is no address of an OTLP receiver", where="otlp_url", now="give one as http://127.0.0.1:4318")
    return url if parts.path.rstrip("/").endswith(PATH) else url.rstrip("/") + PATH


def _exporter(url: str) -> tuple[Any, Any]:
    """OpenTelemetry's exporter over HTTP, and the kinds of its answers; it keeps quiet, this module says what is."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SpanExportResult
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"not installed: {error.name}", where="otlp_url", now="pip install 'penstock[telemetry]'"
        ) from None
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    return OTLPSpanExporter(endpoint=url, timeout=EXPORT_S), SpanExportResult
