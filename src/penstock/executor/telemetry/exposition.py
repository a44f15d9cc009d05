"""Figures as Prometheus reads them."""

from collections.abc import Iterable, Iterator
from typing import Any

from penstock.errors import Unavailable
from penstock.executor.telemetry.figures import Figures
from penstock.executor.telemetry.metric import METRICS


def exposition(figures: Iterable[Figures]) -> tuple[bytes, str]:
    """The text of all these figures, with the process's own (CPU, memory, files), and its content type.

    Raises `Unavailable` where the library is missing.
    """
    try:
        from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, ProcessCollector, generate_latest
    except ModuleNotFoundError as error:
        raise Unavailable(
            f"not installed: {error.name}", where="/metrics", now="pip install 'penstock[telemetry]'"
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Collector(list(figures)))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    """The figures as families of the library."""

    def __init__(self, figures: list[Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Any]:
        """One family a metric, those without a value left out."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for metric in METRICS.values():
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(metric.name, metric.formula, labels=metric.labels)
                for one in self._figures:
                    for labels, distribution in sorted(one.distributions[metric.name].items()):
                        buckets = [(_bound(bound), count) for bound, count in distribution.cumulative()]
                        histogram.add_metric(labels, buckets, distribution.total)
                found: Any = histogram
            else:
                family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
                found = family(metric.name, metric.formula, labels=metric.labels)
                for one in self._figures:
                    for labels, value in sorted(one.values[metric.name].items()):
                        found.add_metric(labels, value)
            if found.samples:
                yield found


def _bound(bound: float) -> str:
    """A bucket's upper bound as the label `le` has it."""
    return "+Inf" if bound == float("inf") else repr(bound)
