"""Figures as Prometheus reads them: what each means, of what kind it is, and the text of one answer."""

from collections.abc import Callable, Iterator, Mapping
from math import isinf
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from common.histogram import Histogram


class Figure(NamedTuple):
    """`kind` is Prometheus' word for it; `labels` are the names that each of its samples has."""

    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


#: By name.
Figures = Mapping[str, Figure]


def gauge(meaning: str, *labels: str) -> Figure:
    """What goes up and down."""
    return Figure("gauge", meaning, labels)


def counter(meaning: str, *labels: str) -> Figure:
    """What counts up from its source's start; its name ends in `_total`."""
    return Figure("counter", meaning, labels)


def spread(meaning: str, *labels: str) -> Figure:
    """A common.histogram.Histogram, told as `_bucket`, `_sum` and `_count`."""
    return Figure("histogram", meaning, labels)


class Scrape:
    """One answer, filled figure by figure; a figure that nobody added is told without a value."""

    def __init__(self, figures: Figures) -> None:
        self._metrics = {name: _metric(name, figure) for name, figure in figures.items()}

    def add(self, name: str, value: float, **labels: str) -> None:
        self._metrics[name].add_sample(name, labels, value)

    def spread(self, name: str, values: Histogram, **labels: str) -> None:
        metric, count = self._metrics[name], 0
        for bound, count in values.cumulative():
            metric.add_sample(f"{name}_bucket", {**labels, "le": _bound(bound)}, count)
        metric.add_sample(f"{name}_count", labels, count)
        metric.add_sample(f"{name}_sum", labels, values.sum)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics.values()

    def text(self, accept: str) -> tuple[bytes, str]:
        """The answer in the form that the asker reads, and what this form is called."""
        encode, content_type = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return encode(registry), content_type


#: Fills an answer with what somebody knows.
Collect = Callable[[Scrape], None]


def _bound(value: float) -> str:
    return "+Inf" if isinf(value) else repr(float(value))


def _metric(name: str, figure: Figure) -> Metric:
    return Metric(name.removesuffix("_total"), figure.meaning, figure.kind)
