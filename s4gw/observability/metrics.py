"""Counters and histograms of the gateway, summed over its worker processes.

Names are S4's, so that its dashboards go on working. Children are looked up once per label set and kept: the hot path
pays for the increment only. Labels are bounded: operations, codecs and results come from tables, and buckets, which
clients choose, are counted under their name only up to `BUCKET_LABELS_MAX`.

Workers share their numbers through files in the directory given to `prepare_directory`, which the master calls before
any metric is made; without it a registry counts for its own process only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
BUCKET_LABELS_MAX: Final = 1000
OTHER_BUCKETS: Final = "_other"
LATENCY_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RATIO_BUCKETS: Final = (1, 1.1, 1.25, 1.5, 2, 3, 4, 6, 10, 20, 50, 100, 200)


class _Series:
    """The children of one request label set (operation, codec, result)."""

    __slots__ = ("bytes_in", "bytes_out", "latency", "requests")

    def __init__(self, metrics: Metrics, operation: str, codec: str, result: str) -> None:
        self.requests: Callable[[], None] = metrics.requests.labels(operation, codec, result).inc
        self.bytes_in: Callable[[float], None] = metrics.bytes_in.labels(operation).inc
        self.bytes_out: Callable[[float], None] = metrics.bytes_out.labels(operation).inc
        self.latency: Callable[[float], None] = metrics.latency.labels(operation).observe


class Metrics:
    """All metrics of one process. Safe to use from any of its threads."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        own = self.registry
        self.requests = Counter(
            "s4_requests", "Requests answered, by outcome.", ("op", "codec", "result"), registry=own
        )
        self.bytes_in = Counter("s4_bytes_in", "Body bytes received, decoded.", ("op",), registry=own)
        self.bytes_out = Counter("s4_bytes_out", "Body bytes sent.", ("op",), registry=own)
        self.latency = Histogram(
            "s4_request_latency_seconds",
            "Time from the request line to the last byte of the answer.",
            ("op",),
            buckets=LATENCY_BUCKETS_S,
            registry=own,
        )
        self.denials = Counter("s4_policy_denials", "Requests refused by policy.", ("action", "bucket"), registry=own)
        self.original_bytes = Counter(
            "s4_original_bytes", "Object bytes stored, before compression.", ("codec",), registry=own
        )
        self.stored_bytes = Counter(
            "s4_stored_bytes", "Object bytes stored, after compression.", ("codec",), registry=own
        )
        self.ratio = Histogram(
            "s4_compression_ratio",
            "Original over stored bytes of each stored body.",
            ("codec",),
            buckets=RATIO_BUCKETS,
            registry=own,
        )
        self.in_flight = Gauge(
            "s4_in_flight_requests", "Requests being answered now.", multiprocess_mode="livesum", registry=own
        )
        self.disconnects = Counter(
            "s4_client_disconnects", "Requests whose client went away before the end.", registry=own
        )
        self._series: dict[tuple[str, str, str], _Series] = {}
        self._denial_buckets: set[str] = set()

    def request_done(  # noqa: PLR0913 - one finished request's facts
        self, *, operation: str, codec: str, result: str, bytes_in: int, bytes_out: int, latency_s: float
    ) -> None:
        """Count one answered request; *result* is "ok" or the S3 code of the error."""
        key = (operation, codec, result)
        series = self._series.get(key)
        if series is None:
            series = self._series.setdefault(key, _Series(self, *key))
        series.requests()
        series.latency(latency_s)
        if bytes_in:
            series.bytes_in(bytes_in)
        if bytes_out:
            series.bytes_out(bytes_out)

    def stored(self, codec: str, original_bytes: int, stored_bytes: int) -> None:
        """Count one body that was squished and kept."""
        self.original_bytes.labels(codec).inc(original_bytes)
        self.stored_bytes.labels(codec).inc(stored_bytes)
        if stored_bytes:
            self.ratio.labels(codec).observe(original_bytes / stored_bytes)

    def policy_denied(self, action: str, bucket: str) -> None:
        """Count one request that policy refused."""
        if bucket not in self._denial_buckets:
            if len(self._denial_buckets) >= BUCKET_LABELS_MAX:
                bucket = OTHER_BUCKETS
            else:
                self._denial_buckets.add(bucket)
        self.denials.labels(action, bucket).inc()

    def render(self) -> bytes:
        """Everything in Prometheus's text format, over all workers."""
        if MULTIPROCESS_VARIABLE not in os.environ:
            return bytes(generate_latest(self.registry))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # ships partial types
        return bytes(generate_latest(registry))


def prepare_directory(path: Path) -> None:
    """Empty *path* for a new run and name it in the environment, before the workers start."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in path.glob("*.db"):
        file.unlink()
    os.environ[MULTIPROCESS_VARIABLE] = str(path)
    # The library chose its kind of counter when it was imported, which was before anybody knew the directory.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call] # ships partial types


def worker_gone(pid: int) -> None:
    """Drop what only counts while the worker *pid* lives (its requests in flight)."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # ships partial types
