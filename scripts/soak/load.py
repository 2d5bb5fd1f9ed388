"""Load generator for S3 servers on this machine: many connections from several processes, answers checked.

Each connection is one thread with one keep-alive socket. Keys that reads need are written before the clock starts.
As a library, `run` gives a `Report`; as a command it prints that report as one JSON object:

    load.py --endpoint http://127.0.0.1:8014 --access-key AK --secret-key SK --mix put=1,get=3 --size 64KiB

An operation counts only if its status and size are right (with --verify its CRC-32 too); the rest is in `errors`.
"""

from __future__ import annotations

import argparse
import array
import dataclasses
import json
import multiprocessing
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Final

import payloads
from load_client import OPERATIONS, Client, Load
from s3wire import Auth, Body, Endpoint, Keys

DURATION_S_MAX: Final = 600.0
POOL_BYTES_MAX: Final = 512 * 1024**2
UNITS: Final = {"": 1, "b": 1, "k": 1024, "kib": 1024, "m": 1024**2, "mib": 1024**2, "g": 1024**3, "gib": 1024**3}


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """How one operation did; times in milliseconds."""

    count: int
    per_s: float
    mb_per_s: float
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What one run came to."""

    wall_s: float
    operations: dict[str, Figures]
    errors: dict[str, int]
    generator_cpu_s: float
    server_cpu_s: float
    moved_bytes: int

    @property
    def count(self) -> int:
        """Operations that were answered rightly."""
        return sum(figures.count for figures in self.operations.values())

    @property
    def per_s(self) -> float:
        """Right answers a second."""
        return self.count / self.wall_s

    @property
    def server_us_per_operation(self) -> float:
        """Processor time of the server for one operation, in microseconds."""
        return self.server_cpu_s / max(1, self.count) * 1e6


@dataclasses.dataclass(slots=True)
class Share:
    """What one process of the generator reports."""

    latencies: dict[str, bytes]
    moved_bytes: int
    errors: Counter[str]
    cpu_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Rendezvous:
    """What the processes of a run share: two barriers around the start of the clock, and the way back."""

    ready: Barrier
    go: Barrier
    out: Queue[Share]


def _process(load: Load, number: int, connections: int, meet: Rendezvous) -> None:
    clients = [Client(load, number, index) for index in range(connections)]
    threads = [threading.Thread(target=client.prefill) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meet.ready.wait()
    meet.go.wait()
    cpu_s, until_s = time.process_time(), time.perf_counter() + load.duration_s
    threads = [threading.Thread(target=client.work, args=(until_s,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    joined = {name: b"".join(client.latencies[name].tobytes() for client in clients) for name in load.mix}
    errors = sum((client.errors for client in clients), Counter[str]())
    meet.out.put(Share(joined, sum(client.moved_bytes for client in clients), errors, time.process_time() - cpu_s))


def run(load: Load, server_cpu_s: Callable[[], float] = lambda: 0.0) -> Report:
    """Create the bucket, write what reads need, run, and add up.

    Args:
        load: The run.
        server_cpu_s: Gives the processor time that the server has used so far, in seconds.

    Raises: ConnectionError, if the server refuses the bucket; RuntimeError, if a generator process dies.
    """
    load.create_bucket()
    context = multiprocessing.get_context("fork")  # bodies are shared, not copied
    count = max(1, min(load.processes, load.connections))
    shares = [load.connections // count + (number < load.connections % count) for number in range(count)]
    meet = Rendezvous(context.Barrier(count + 1), context.Barrier(count + 1), context.Queue())
    workers = [
        context.Process(target=_process, args=(load, number, share, meet), daemon=True)
        for number, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    meet.ready.wait(DURATION_S_MAX)
    server_before_s, start_s = server_cpu_s(), time.perf_counter()
    meet.go.wait(DURATION_S_MAX)
    results: list[Share] = [meet.out.get(timeout=load.duration_s + load.timeout_s * 2 + 60) for _ in workers]
    wall_s, used_s = time.perf_counter() - start_s, server_cpu_s() - server_before_s
    for worker in workers:
        worker.join(10)
    return Report(
        wall_s=wall_s,
        operations={name: _figures(results, name, wall_s, load) for name in load.mix},
        errors=dict(sum((share.errors for share in results), Counter[str]())),
        generator_cpu_s=sum(share.cpu_s for share in results),
        server_cpu_s=used_s,
        moved_bytes=sum(share.moved_bytes for share in results),
    )


def _figures(shares: Sequence[Share], name: str, wall_s: float, load: Load) -> Figures:
    seconds = array.array("d", b"".join(share.latencies[name] for share in shares))
    times = sorted(seconds) or [0.0]
    sized = {"put", "get"}
    moved = len(seconds) * load.bodies[0].size if name in sized else len(seconds) * load.range_bytes

    def at(share: float) -> float:
        return round(times[min(len(times) - 1, int(len(times) * share))] * 1e3, 3)

    return Figures(
        count=len(seconds),
        per_s=round(len(seconds) / wall_s, 2),
        mb_per_s=round(moved / wall_s / 1e6, 2) if name in sized | {"range"} else 0.0,
        mean_ms=round(sum(times) / len(times) * 1e3, 3),
        p50_ms=at(0.5),
        p90_ms=at(0.9),
        p99_ms=at(0.99),
        max_ms=at(1.0),
    )


def make_bodies(kind: str, size: int, *, count: int, auth: Auth = Auth.UNSIGNED, seed: int = 1) -> list[Body]:
    """Make up to *count* different bodies of *size* bytes, fewer where they would fill the memory."""
    count = max(1, min(count, POOL_BYTES_MAX // max(1, size)))
    return [Body(payloads.make(kind, size, seed + number), auth) for number in range(count)]


def parse_size(text: str) -> int:
    """Read ``64KiB`` as bytes.

    Raises: ValueError, for anything else.
    """
    match = re.fullmatch(r"([\d.]+)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"not a size: {text}")
    return int(float(match[1]) * UNITS[match[2]])


def _parse_mix(text: str) -> dict[str, int]:
    mix = {name: int(weight) for name, _, weight in (item.partition("=") for item in text.split(","))}
    if not mix.keys() <= OPERATIONS.keys():
        raise ValueError(f"operations are {', '.join(OPERATIONS)}")
    return mix


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command. Returns 0, or 1 if no operation succeeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", type=Endpoint.parse, default="http://127.0.0.1:8014")
    parser.add_argument("--access-key", default=os.environ.get("AWS_ACCESS_KEY_ID", ""))
    parser.add_argument("--secret-key", default=os.environ.get("AWS_SECRET_ACCESS_KEY", ""))
    parser.add_argument("--bucket", default="load")
    parser.add_argument("--mix", type=_parse_mix, default="put=1", help=f"op=weight,...: {', '.join(OPERATIONS)}")
    parser.add_argument("--size", type=parse_size, default="64KiB")
    parser.add_argument("--payload", choices=payloads.KINDS, default="log")
    parser.add_argument("--auth", type=Auth, choices=tuple(Auth), default=Auth.UNSIGNED)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keys", type=int, default=64, help="keys for each connection")
    parser.add_argument("--duration", type=float, default=5.0, help="seconds, at most 600")
    parser.add_argument("--expect-100", action="store_true")
    parser.add_argument("--verify", action="store_true", help="check the CRC-32 of every body read")
    given = parser.parse_args(arguments)
    load = Load(
        endpoint=given.endpoint,
        keys=Keys(given.access_key, given.secret_key),
        bodies=make_bodies(given.payload, given.size, count=8, auth=given.auth),
        mix=given.mix,
        auth=given.auth,
        bucket=given.bucket,
        connections=given.connections,
        processes=given.processes,
        duration_s=min(given.duration, DURATION_S_MAX),
        keys_per_connection=given.keys,
        expect_100=given.expect_100,
        verify=given.verify,
    )
    report = run(load)
    print(json.dumps(dataclasses.asdict(report) | {"per_s": round(report.per_s, 1)}))
    return 0 if report.count else 1


if __name__ == "__main__":
    sys.exit(main())
