"""How a metric is declared: once, as a field that says its name, its help and its labels' values."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any, ClassVar, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, Sequence[str]]
SPEC = "spec"


class BatchHistogram(Histogram):
    """A histogram that takes a batch of values at about the cost of one."""

    def observe_many(self, values: Iterable[float]) -> None:
        """Observe each of many values.

        Args:
            values: in the metric's unit. Negative ones, which clocks that differ can produce, count as 0:
                a sum that goes down would look like a restart to Prometheus.
        """
        ordered = sorted(values)
        if ordered and ordered[0] < 0:
            ordered = [max(0.0, value) for value in ordered]
        self._take_in([bisect_right(ordered, bound) for bound in self._upper_bounds], sum(ordered))

    def observe_since(self, times_ms: Iterable[int], now_ms: int) -> None:
        """Observe how many seconds ago each of many times was, for half of what it takes to work that out.

        Args:
            times_ms: in milliseconds; later ones than `now_ms` count as now.
            now_ms: in milliseconds, too.
        """
        ordered = sorted(times_ms)
        if ordered and ordered[-1] > now_ms:
            ordered = [min(now_ms, time_ms) for time_ms in ordered]
        within = [len(ordered) - bisect_left(ordered, now_ms - bound * 1000) for bound in self._upper_bounds]
        self._take_in(within, (len(ordered) * now_ms - sum(ordered)) / 1000)

    def _take_in(self, within: Sequence[int], total: float) -> None:
        """Count in so many values within each upper bound, and their sum."""
        for bucket, (fewer, more) in zip(self._buckets, pairwise((0, *within)), strict=True):
            if more > fewer:
                bucket.inc(more - fewer)
        self._sum.inc(total)


@dataclass(frozen=True, slots=True)
class Spec:
    """A metric's declaration.

    Args:
        kind: counter, gauge or histogram.
        name: as it is scraped.
        help: one sentence.
        labels: each label with all its values, so that every series exists from the start; a label
            without values comes and goes with what it names.
        buckets: upper bounds of a histogram, in its unit.
    """

    kind: Kind
    name: str
    help: str
    labels: Labels
    buckets: tuple[float, ...] = ()

    _classes: ClassVar[Mapping[Kind, type[Counter | Gauge]]] = {"counter": Counter, "gauge": Gauge}

    def build(self, registry: CollectorRegistry) -> Counter | Gauge | BatchHistogram:
        """Register the metric, with every series whose labels are known."""
        metric = self._registered(registry)
        if self.labels and all(self.labels.values()):
            for values in product(*self.labels.values()):
                metric.labels(*values)
        return metric

    def _registered(self, registry: CollectorRegistry) -> Counter | Gauge | BatchHistogram:
        if self.kind == "histogram":
            return BatchHistogram(
                self.name, self.help, tuple(self.labels), registry=registry, buckets=self.buckets
            )
        return self._classes[self.kind](self.name, self.help, tuple(self.labels), registry=registry)


def counter(name: str, text: str, **labels: Sequence[str]) -> Any:
    """Declare a counter; the field is a `Counter`."""
    return _declared(Spec("counter", name, text, labels))


def gauge(name: str, text: str, **labels: Sequence[str]) -> Any:
    """Declare a gauge; the field is a `Gauge`."""
    return _declared(Spec("gauge", name, text, labels))


def histogram(name: str, text: str, buckets: tuple[float, ...], **labels: Sequence[str]) -> Any:
    """Declare a histogram; the field is a `BatchHistogram`."""
    return _declared(Spec("histogram", name, text, labels, buckets))


def _declared(spec: Spec) -> Any:
    return field(init=False, repr=False, metadata={SPEC: spec})
