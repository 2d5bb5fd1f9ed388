"""What the ring costs: PUT through a gateway that compresses in its workers and one with `--gpu=cpu`, in turns.

    python scripts/soak/gpu_ring.py [--rounds 15] [--size-mib 256] [--data json doc_values]

Both gateways run at once with the same settings but for `--gpu`: the same workers, each bound to its core, choose the
same codecs for the same frames of 1 MiB; beside them the ring has a process with a thread for each core. Both have been
warmed up, and one is used at a time, in turns of less than a second, over connections of that turn. Figures are medians
over the rounds: MB of originals per second over all connections, CPU seconds of all processes of the gateway per GB,
and of the two turns of each round the ratio of one to the other, which other load on the machine changes least.

A turn is some objects for each connection: with one, connecting, its first frame and its commit, when there is little
to do at once, are half of what is seen. Where Linux shares cores between sessions (autogroup), other load makes the
ring look better than it is: its process has a session, and so a share, of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import servers
from s3wire import Auth, Body, Connection

from s4gw.tools import bench_data

MIB: Final = 1024**2
OBJECT_BYTES: Final = 16 * MIB
CONNECTIONS: Final = 4
OK: Final = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """What one gateway did in one round."""

    mb_per_s: float
    cpu_s_per_gb: float


@contextlib.contextmanager
def gateway(mode: str) -> Iterator[servers.Server]:
    """A fresh gateway with ``--gpu`` *mode*."""
    os.environ["S4GW_GPU"] = mode
    with servers.running("s4gw") as server:
        yield server


def cpu_s(server: servers.Server) -> float:
    """CPU seconds of the gateway's processes, of threads that have ended as well."""
    ticks = 0
    for pid in server.pids():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def put(server: servers.Server, body: Body, count: int) -> Turn:
    """PUT *body* *count* times over some connections."""
    links = [Connection(server.endpoint, server.keys, auth=Auth.UNSIGNED) for _ in range(CONNECTIONS)]

    def work(number: int) -> None:
        for each in range(number, count, CONNECTIONS):
            status = links[number].request("PUT", f"/ring/{each}", body=body).status
            if status != OK:
                raise ConnectionError(f"PUT answered {status}")

    cpu, began = cpu_s(server), time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(work, range(CONNECTIONS)))
    wall, spent = time.monotonic() - began, cpu_s(server) - cpu
    for link in links:
        link.close()
    size = count * body.size
    return Turn(size / wall / 1e6, spent / (size / 1e9))


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size-mib", type=int, default=256, help="PUT per round and gateway (256)")
    parser.add_argument("--data", nargs="+", default=["json", "doc_values"], help="sets of `s4gw bench codecs`")
    options = parser.parse_args(argv)
    with gateway("off") as direct, gateway("cpu") as ring:
        for server in (direct, ring):
            Connection(server.endpoint, server.keys, auth=Auth.UNSIGNED).request("PUT", "/ring")
        print("| data | MB/s direct | MB/s ring | ring/direct | CPU s/GB direct | CPU s/GB ring | direct/ring |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name in options.data:
            body = Body(bench_data.make(name, OBJECT_BYTES))
            for server in (direct, ring):
                put(server, body, 2 * CONNECTIONS)  # the first results of a worker are all verified
            count = max(1, options.size_mib * MIB // OBJECT_BYTES)
            rounds = [(put(direct, body, count), put(ring, body, count)) for _ in range(options.rounds)]
            off, cpu = zip(*rounds, strict=True)
            rates = [statistics.median(turn.mb_per_s for turn in turns) for turns in (off, cpu)]
            costs = [statistics.median(turn.cpu_s_per_gb for turn in turns) for turns in (off, cpu)]
            faster = statistics.median(through.mb_per_s / here.mb_per_s for here, through in rounds)
            cheaper = statistics.median(here.cpu_s_per_gb / through.cpu_s_per_gb for here, through in rounds)
            print(
                f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} | {faster:.2f} "
                f"| {costs[0]:.2f} | {costs[1]:.2f} | {cheaper:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
