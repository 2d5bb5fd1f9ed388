"""What the ring costs: PUT through a gateway that compresses in its workers and one with `--gpu=cpu`, in turns.

    python scripts/soak/gpu_ring.py [--rounds 5] [--size-mib 128] [--data json doc_values]

Both gateways run at once, and only one is used at a time. Figures are the best of the rounds: MB of originals per
second over all connections, and CPU seconds of all processes of the gateway per GB.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import servers
from s3wire import Auth, Body, Connection

from s4gw.tools import bench_data

MIB: Final = 1024**2
OBJECT_BYTES: Final = 16 * MIB
CONNECTIONS: Final = 4
MODES: Final = ("off", "cpu")
OK: Final = 200


@dataclasses.dataclass(slots=True)
class Best:
    """The best of the rounds of one mode."""

    mb_per_s: float = 0.0
    cpu_s_per_gb: float = float("inf")

    def add(self, mb_per_s: float, cpu_s_per_gb: float) -> None:
        """Take a round in."""
        self.mb_per_s = max(self.mb_per_s, mb_per_s)
        self.cpu_s_per_gb = min(self.cpu_s_per_gb, cpu_s_per_gb)


@contextlib.contextmanager
def gateway(mode: str) -> Iterator[servers.Server]:
    """A fresh gateway with ``--gpu`` *mode*."""
    os.environ["S4GW_GPU"] = mode
    with servers.running("s4gw") as server:
        yield server


def put(server: servers.Server, body: Body, count: int) -> tuple[float, float]:
    """PUT *body* *count* times over some connections. Returns: MB per second, CPU seconds per GB."""
    links = [Connection(server.endpoint, server.keys, auth=Auth.UNSIGNED) for _ in range(CONNECTIONS)]

    def work(number: int) -> None:
        for each in range(number, count, CONNECTIONS):
            status = links[number].request("PUT", f"/ring/{each}", body=body).status
            if status != OK:
                raise ConnectionError(f"PUT answered {status}")

    cpu, began = server.cpu_s(), time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(work, range(CONNECTIONS)))
    wall, spent = time.monotonic() - began, server.cpu_s() - cpu
    for link in links:
        link.close()
    size = count * body.size
    return size / wall / 1e6, spent / (size / 1e9)


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size-mib", type=int, default=128, help="PUT per round and gateway (128)")
    parser.add_argument("--data", nargs="+", default=["json", "doc_values"], help="sets of `s4gw bench codecs`")
    options = parser.parse_args(argv)
    with gateway("off") as direct, gateway("cpu") as ring:
        for server in (direct, ring):
            Connection(server.endpoint, server.keys, auth=Auth.UNSIGNED).request("PUT", "/ring")
        print("| data | MB/s direct | MB/s ring | ring/direct | CPU s/GB direct | CPU s/GB ring | direct/ring |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name in options.data:
            body = Body(bench_data.make(name, OBJECT_BYTES))
            best = {mode: Best() for mode in MODES}
            for server in (direct, ring):
                put(server, body, 2 * CONNECTIONS)  # the first results of a worker are all verified
            for _ in range(options.rounds):
                for mode, server in zip(MODES, (direct, ring), strict=True):
                    best[mode].add(*put(server, body, max(1, options.size_mib * MIB // OBJECT_BYTES)))
            off, cpu = best["off"], best["cpu"]
            print(
                f"| {name} | {off.mb_per_s:.0f} | {cpu.mb_per_s:.0f} | {cpu.mb_per_s / off.mb_per_s:.2f} "
                f"| {off.cpu_s_per_gb:.2f} | {cpu.cpu_s_per_gb:.2f} | {off.cpu_s_per_gb / cpu.cpu_s_per_gb:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
