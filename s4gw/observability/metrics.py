"""Counters and histograms of the gateway, summed over its worker processes.

Names are S4's, so that its dashboards go on working. A request only adds to plain numbers of its process, which are
published to the shared files ten times a second. Labels are bounded: operations, codecs and results come from tables,
and buckets, which clients choose, are counted under their name only up to `BUCKET_LABELS_MAX`.

Workers share their numbers through files in the directory given to `prepare_directory`, which the master calls before
any metric is made; without it a registry counts for its own process only.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from pathlib import Path
from typing import Any, Final

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
from prometheus_client.registry import Collector

from s4gw.observability.gpu_metrics import GpuMetrics

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
BUCKET_LABELS_MAX: Final = 1000
OTHER_BUCKETS: Final = "_other"
LATENCY_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
PUBLISH_S: Final = 0.1
FILE_BYTES: Final = 128 * 1024
"""Of each file that a process shares its numbers through: some thousand series."""
_FILES: Final = ("counter", "histogram", "gauge_livesum", "gauge_mostrecent", "gauge_livemostrecent")
RATIO_BUCKETS: Final = (1, 1.1, 1.25, 1.5, 2, 3, 4, 6, 10, 20, 50, 100, 200)


class _Tally:
    """What has happened under one label set since the last publication."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "latencies",
        "original",
        "ratio_sum",
        "ratios",
        "requests",
        "seconds",
        "stored",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.seconds = 0.0
        self.latencies = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.original = 0
        self.stored = 0
        self.ratio_sum = 0.0
        self.ratios = [0] * (len(RATIO_BUCKETS) + 1)


class _Calls:
    """What has happened under one operation and result at the upstream since the last publication."""

    __slots__ = ("count", "latencies", "retries", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.retries = 0
        self.seconds = 0.0
        self.latencies = [0] * (len(LATENCY_BUCKETS_S) + 1)


class Metrics:
    """All metrics of one process. Safe to use from any of its threads.

    Attributes:
        gpu: Metrics of the GPU worker.
        collectors: What is read when somebody asks, the same in every process.
        deferred: Somebody calls `publish` every `PUBLISH_S`; until that is set, each request publishes itself.
    """

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
        self.upstream_requests = Counter(
            "s4_upstream_requests", "Calls to the upstream, by outcome.", ("op", "result"), registry=own
        )
        self.upstream_retries = Counter(
            "s4_upstream_retries", "Attempts of calls to the upstream after the first.", ("op",), registry=own
        )
        self.upstream_latency = Histogram(
            "s4_upstream_latency_seconds",
            "Time until the upstream's answer began, all attempts together.",
            ("op",),
            buckets=LATENCY_BUCKETS_S,
            registry=own,
        )
        self.upstream_breaker = Gauge(
            "s4_upstream_breaker_open",
            "Workers that refuse requests because the upstream is down.",
            multiprocess_mode="livesum",
            registry=own,
        )
        self.gpu = GpuMetrics(own)
        self.deferred = False
        self.collectors: list[Collector] = []
        self._lock = threading.Lock()
        self._publishing = threading.Lock()
        self._in_flight = 0
        self._tallies: dict[tuple[str, str, str], _Tally] = {}
        self._calls: dict[tuple[str, str], _Calls] = {}
        self._denial_buckets: set[str] = set()

    def request_started(self) -> None:
        """Count a request in; `request_done` counts it out."""
        with self._lock:
            self._in_flight += 1
        if not self.deferred:
            self.publish()

    def request_done(  # noqa: PLR0913 - one finished request's facts
        self,
        *,
        operation: str,
        codec: str,
        result: str,
        bytes_in: int,
        bytes_out: int,
        latency_s: float,
        original: int = 0,
        stored: int = 0,
    ) -> None:
        """Count one answered request.

        Args:
            operation: S3's name.
            codec: That most of the bytes went through.
            result: "ok" or the S3 code of the error.
            bytes_in: Body bytes received, decoded.
            bytes_out: Body bytes sent.
            latency_s: Seconds from the request line to the last byte.
            original: Object bytes that the request stored, before compression.
            stored: The same after compression; 0 when nothing was stored.

        PERF: added up in plain numbers; putting each into the shared files at once takes 27 us instead of 3.
        """
        key = (operation, codec, result)
        with self._lock:
            self._in_flight -= 1
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = _Tally()
            tally.requests += 1
            tally.bytes_in += bytes_in
            tally.bytes_out += bytes_out
            tally.seconds += latency_s
            tally.latencies[bisect_left(LATENCY_BUCKETS_S, latency_s)] += 1
            if stored:
                ratio = original / stored
                tally.original += original
                tally.stored += stored
                tally.ratio_sum += ratio
                tally.ratios[bisect_left(RATIO_BUCKETS, ratio)] += 1
        if not self.deferred:
            self.publish()

    def upstream_done(self, operation: str, result: str, *, seconds: float, retries: int) -> None:
        """Count one call to the upstream; *result* is "ok" or a bounded name of what went wrong."""
        with self._lock:
            calls = self._calls.get((operation, result))
            if calls is None:
                calls = self._calls[operation, result] = _Calls()
            calls.count += 1
            calls.retries += retries
            calls.seconds += seconds
            calls.latencies[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1

    def publish(self) -> None:
        """Put what has been counted where every process can read it."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
            called, self._calls = self._calls, {}
            in_flight = self._in_flight
        with self._publishing:
            self.in_flight.set(in_flight)
            for (operation, codec, result), tally in tallies.items():
                self.requests.labels(operation, codec, result).inc(tally.requests)
                self.bytes_in.labels(operation).inc(tally.bytes_in)
                self.bytes_out.labels(operation).inc(tally.bytes_out)
                _add(self.latency.labels(operation), tally.seconds, tally.latencies)
                if tally.stored:
                    self.original_bytes.labels(codec).inc(tally.original)
                    self.stored_bytes.labels(codec).inc(tally.stored)
                    _add(self.ratio.labels(codec), tally.ratio_sum, tally.ratios)
            for (operation, result), calls in called.items():
                self.upstream_requests.labels(operation, result).inc(calls.count)
                _add(self.upstream_latency.labels(operation), calls.seconds, calls.latencies)
                if calls.retries:
                    self.upstream_retries.labels(operation).inc(calls.retries)

    def policy_denied(self, action: str, bucket: str) -> None:
        """Count one request that policy refused."""
        if bucket not in self._denial_buckets:
            if len(self._denial_buckets) >= BUCKET_LABELS_MAX:
                bucket = OTHER_BUCKETS
            else:
                self._denial_buckets.add(bucket)
        self.denials.labels(action, bucket).inc()

    def render(self) -> bytes:
        """Everything in Prometheus's text format, over all workers; what was answered before is in it."""
        if self.deferred:
            time.sleep(2 * PUBLISH_S)  # by then every worker has published
        self.publish()
        if MULTIPROCESS_VARIABLE not in os.environ:
            return bytes(generate_latest(self.registry)) + b"".join(map(_alone, self.collectors))
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # ships partial types
        for collector in self.collectors:
            registry.register(collector)
        return bytes(generate_latest(registry))


def _alone(collector: Collector) -> bytes:
    registry = CollectorRegistry()
    registry.register(collector)
    return bytes(generate_latest(registry))


def _add(histogram: Any, total: float, counts: list[int]) -> None:
    """Add observations that were counted by bucket; the library has no call for that."""
    histogram._sum.inc(total)  # noqa: SLF001 - see above
    for bucket, count in zip(histogram._buckets, counts, strict=True):  # noqa: SLF001
        if count:
            bucket.inc(count)


def prepare_directory(path: Path) -> None:
    """Empty *path* for a new run and name it in the environment, before the workers start."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in path.glob("*.db"):
        file.unlink()
    os.environ[MULTIPROCESS_VARIABLE] = str(path)
    # The library chose its kind of counter when it was imported, which was before anybody knew the directory.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call] # ships partial types


def share_as(name: str = "") -> None:
    """Make the files of this process, before any metric is made.

    Args:
        name: Instead of the process id, for a process that is restarted as often as need be: its successors go on with
            its files instead of adding some.
    """
    directory = os.environ.get(MULTIPROCESS_VARIABLE)
    if directory is None:
        return
    try:
        for kind in _FILES:
            _allocate(Path(directory, f"{kind}_{name or os.getpid()}.db"))
    except OSError:
        # The disk is full: this process counts for itself, and serves.
        values.ValueClass = values.MutexValue
        return
    if name:
        values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call] # see above


def _allocate(path: Path) -> None:
    """The library maps files with holes, and to fill one on a full disk is SIGBUS. Raises: OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, FILE_BYTES)
    except OSError:
        if not os.fstat(descriptor).st_size:
            path.unlink()  # whoever sums up could not read an empty one
        raise
    finally:
        os.close(descriptor)


def worker_gone(pid: int | str) -> None:
    """Drop what only counts while the worker *pid* lives, or the process of that name (its requests in flight)."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # ships partial types
