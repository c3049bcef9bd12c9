"""Prometheus metrics of usage: decisions by outcome, and the size of this machine's spool."""

from collections.abc import Iterable

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contextmcp.common import metrics

from .spool import files, spool

DECISIONS = Counter("usage_decisions_total", "Calls that were decided, by outcome: allowed, or the code of the refusal", ["outcome"])


class SpoolCollector(Collector):
    """Collects the number and size of spool files. Files in the state `damaged` need an operator."""

    def collect(self) -> Iterable[Metric]:
        if (folder := spool.spool_dir()) is None:
            return
        sizes = {"waiting": files.pending_files(folder), "damaged": list(folder.glob(f"*{files.DAMAGED}"))}
        count = GaugeMetricFamily("usage_spool_files", "Files in the spool of this machine", labels=["state"])
        size = GaugeMetricFamily("usage_spool_bytes", "Bytes in the spool of this machine", labels=["state"])
        for state, paths in sizes.items():
            count.add_metric([state], len(paths))
            size.add_metric([state], sum(files.size(path) for path in paths))
        yield count
        yield size

    def describe(self) -> Iterable[Metric]:
        return []


def register() -> None:
    """Register the collector. Call it once per process."""
    metrics.register(SpoolCollector())
