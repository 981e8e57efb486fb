"""Samples as a scraper reads them: Prometheus's text or OpenMetrics, whichever it asks for."""

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from surgical_pipeline.metrics.catalog import Kind, Sample


def rendered(samples: Iterable[Sample], *, accept: str) -> tuple[bytes, str]:
    """The page and its content type.

    Args:
        samples: those of one metric need not stand together.
        accept: the request's header; may be empty.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Samples(samples))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Samples(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._families = _families(samples)

    def describe(self) -> Sequence[Metric]:
        return self._families

    def collect(self) -> Sequence[Metric]:
        return self._families


def _families(samples: Iterable[Sample]) -> list[Metric]:
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for metric, value, labels in samples:
        if metric.name not in families:
            of_kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            families[metric.name] = of_kind(
                metric.name, metric.help, labels=[label.name for label in metric.labels]
            )
        families[metric.name].add_metric(labels, value)
    return list(families.values())
