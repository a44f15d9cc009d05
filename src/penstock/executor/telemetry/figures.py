"""Figures: counters, gauges and histograms by name and labels, as plain numbers that are cheap to add to."""

from bisect import bisect_left
from collections import defaultdict

from penstock.executor.telemetry.metric import METRICS

Labels = tuple[str, ...]
OTHER = "other"


class Distribution:
    """A histogram's buckets: how many values were at most each bound, and the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Takes a value in."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def merge(self, other: "Distribution") -> None:
        """Takes in all that another one of the same bounds holds."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def copy(self) -> "Distribution":
        """One of its own with the same values."""
        made = Distribution(self.bounds)
        made.merge(self)
        return made

    def cumulative(self) -> list[tuple[float, int]]:
        """(upper bound, values at most that) for each bucket, infinity last."""
        found, below = [], 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            below += count
            found.append((bound, below))
        return found


class Figures:
    """The values of the metrics that are in the table; a name that is not there is a `KeyError`.

    Not safe for several threads by itself.
    """

    def __init__(self) -> None:
        self.values: dict[str, defaultdict[Labels, float]] = {
            name: defaultdict(float) for name, metric in METRICS.items() if metric.kind != "histogram"
        }
        self.distributions: dict[str, dict[Labels, Distribution]] = {
            name: {} for name, metric in METRICS.items() if metric.kind == "histogram"
        }

    def add(self, name: str, labels: Labels, amount: float = 1.0) -> None:
        """Adds to a counter or a gauge."""
        self.values[name][labels] += amount

    def set(self, name: str, labels: Labels, value: float) -> None:
        """Sets a gauge."""
        self.values[name][labels] = value

    def observe(self, name: str, labels: Labels, value: float) -> None:
        """Takes a value into a histogram."""
        family = self.distributions[name]
        found = family.get(labels)
        if found is None:
            found = family[labels] = Distribution(METRICS[name].bounds)
        found.add(value)

    def fold_version(self, agent: str, version: str) -> None:
        """Adds all that is of this version of an agent to its version `other`, and forgets the version."""
        for name, metric in METRICS.items():
            if metric.labels[:2] != ("agent", "version"):
                continue
            family = self.distributions.get(name) or self.values.get(name) or {}
            for labels in [one for one in family if one[:2] == (agent, version)]:
                target = (agent, OTHER, *labels[2:])
                if metric.kind == "histogram":
                    gone = self.distributions[name].pop(labels)
                    self.distributions[name].setdefault(target, Distribution(metric.bounds)).merge(gone)
                else:
                    self.values[name][target] += self.values[name].pop(labels)

    def copy(self) -> "Figures":
        """The values as they are now."""
        made = Figures()
        for name, values in self.values.items():
            made.values[name].update(values)
        for name, family in self.distributions.items():
            made.distributions[name] = {labels: one.copy() for labels, one in family.items()}
        return made
