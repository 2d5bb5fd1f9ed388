"""Metrics of the GPU worker and of those who use it; `Metrics` has one of these.

Batches, seconds and the state are counted by the GPU worker, chunks in flight, fallbacks and verifications by the
gateway workers; all of them share the files of the other metrics.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class GpuMetrics:
    """What the GPU worker does and what becomes of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.compress_seconds = Histogram(
            "s4_gpu_compress_seconds",
            "Seconds per launch that compressed.",
            ("codec",),
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.decompress_seconds = Histogram(
            "s4_gpu_decompress_seconds",
            "Seconds per launch that decompressed.",
            ("codec",),
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.throughput = Gauge(
            "s4_gpu_throughput_bytes_per_sec",
            "Bytes of the last launch over its seconds.",
            ("codec", "op"),
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self.in_flight = Gauge(
            "s4_gpu_in_flight", "Chunks given to the GPU worker.", multiprocess_mode="livesum", registry=registry
        )
        self.out_of_memory = Counter("s4_gpu_oom", "Batches that the device had no room for.", registry=registry)
        self.batches = Counter("s4_gpu_batch", "Batches, by outcome.", ("result",), registry=registry)
        self.state = Gauge(
            "s4_gpu_engine_state",
            "0 off, 1 starting, 2 ready, 3 disabled for wrong bytes, 4 unavailable.",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self.starts = Counter("s4_gpu_worker_starts", "GPU worker processes started.", registry=registry)
        self.verified = Counter(
            "s4_gpu_verified", "Results decoded on the CPU before use, by outcome.", ("result",), registry=registry
        )
        self.fallbacks = Counter(
            "s4_gpu_fallback", "Chunks that the CPU did in place of the GPU worker.", ("reason",), registry=registry
        )

    def launched(self, *, codec: str, encoding: bool, seconds: float, size: int) -> None:
        """Count one launch.

        Args:
            codec: Label of the codec.
            encoding: It compressed; else it decompressed.
            seconds: From the call of the engine to its return.
            size: Bytes given to the engine.
        """
        (self.compress_seconds if encoding else self.decompress_seconds).labels(codec).observe(seconds)
        self.throughput.labels(codec, "compress" if encoding else "decompress").set(size / max(seconds, 1e-9))
