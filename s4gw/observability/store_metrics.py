"""Figures of the embedded store, read from its index when they are asked for.

The counters stand in the index, which every worker can read: they need no files of their own, and the same process that
answers a scrape tells of all others' work. Whoever scrapes often pays some milliseconds each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from s4gw.store import StoreError
from s4gw.store.upkeeping import StoreStats

GAUGES: Final[tuple[tuple[str, str, Callable[[StoreStats], float]], ...]] = (
    ("s4_store_objects", "Visible objects.", lambda stats: stats.objects),
    ("s4_store_versions", "Versions and delete markers.", lambda stats: stats.versions),
    ("s4_store_referenced_bytes", "Stored bytes of all versions and parts.", lambda stats: stats.referenced_bytes),
    ("s4_store_unique_bytes", "The same, equal extents counted once.", lambda stats: stats.unique_bytes),
    ("s4_store_dedup_ratio", "Referenced over unique bytes.", lambda stats: stats.ratio),
    ("s4_store_disk_bytes", "Size of all volumes.", lambda stats: stats.disk_bytes),
    ("s4_store_dead_bytes", "What compaction could give back.", lambda stats: stats.dead_bytes),
    ("s4_store_waiting_bytes", "Bytes without a reference, within the grace.", lambda stats: stats.waiting_bytes),
    ("s4_store_volumes", "Volume files.", lambda stats: stats.volumes),
    ("s4_store_damaged_records", "Damaged records that are still referred to.", lambda stats: stats.damaged_records),
    (
        "s4_store_oldest_scrub_timestamp_seconds",
        "When the volume scrubbed longest ago was; 0 for one that never was.",
        lambda stats: stats.oldest_scrub_ms / 1000,
    ),
)
COUNTERS: Final = (
    ("s4_store_compacted_bytes", "Bytes that compaction copied.", "compacted_bytes"),
    ("s4_store_reclaimed_bytes", "Size of the volumes that compaction removed.", "reclaimed_bytes"),
    ("s4_store_scrub_bytes", "Bytes that scrubbing read.", "scrubbed_bytes"),
    ("s4_store_scrub_corrupt", "Damaged records that were found.", "damaged_records"),
)
"""Name without its suffix, help, name in the index."""


class StoreCollector(Collector):
    """The store's metrics.

    Args:
        stats: Reads the figures; what it raises of the store's errors leaves the metrics out.
    """

    def __init__(self, stats: Callable[[], StoreStats]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """Called by the library for each scrape."""
        try:
            stats = self._stats()
        except StoreError:
            return
        for name, text, value in GAUGES:
            yield GaugeMetricFamily(name, text, value=value(stats))
        for name, text, key in COUNTERS:
            yield CounterMetricFamily(name, text, value=stats.totals.get(key, 0))

    def describe(self) -> list[Metric]:
        """Nothing has to be read to know the names."""
        return []
