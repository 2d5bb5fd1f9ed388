"""What a scrape shows of the store is what its index says; a store that cannot be read leaves its metrics out."""

from __future__ import annotations

from pathlib import Path

from s4gw.observability.metrics import Metrics
from s4gw.observability.store_metrics import StoreCollector
from s4gw.store import DataDirError, upkeeping
from s4gw.store.upkeeping import StoreStats
from tests.store.kit import make_bucket, put
from tests.store.upkeep_kit import open_store


def test_the_figures_of_a_store(tmp_path: Path) -> None:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    put(store, "k", b"x" * 5000)
    upkeeping.scrub_all(store, upkeeping.Pace(store.data_dir, 0))
    metrics = Metrics()
    metrics.collectors.append(StoreCollector(lambda: upkeeping.stats(store.data_dir)))
    lines = metrics.render().decode().splitlines()
    store.close()
    assert {"s4_store_objects 1.0", "s4_store_unique_bytes 5000.0", "s4_store_scrub_corrupt_total 0.0"} <= set(lines)


def test_a_store_that_cannot_be_read() -> None:
    def nothing() -> StoreStats:
        raise DataDirError("no index yet")

    metrics = Metrics()
    metrics.collectors.append(StoreCollector(nothing))
    text = metrics.render().decode()
    assert ("s4_requests" in text, "s4_store_objects" in text) == (True, False)
