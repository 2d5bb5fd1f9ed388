"""`make bench`: ours beside SeaweedFS and rclone, same generator, same machine, same run; a table of ratios.

The servers of one size run side by side and take turns case by case, so that a noisy moment of the machine meets all of
them; before each turn the disk is synced, so that nobody pays for another's unwritten pages. Ours answers after fsync,
the peers as they come. Everything starts with a warm-up. Nothing here fails because of a figure.

    bench.py [--quick] [--only TEXT ...] [--peers seaweedfs,rclone] [--seconds S] [--rounds N] [--out DIR]
    bench.py --gateway ...      ours in front of SeaweedFS, over SeaweedFS alone
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import bench_report
import load
import servers
from bench_report import Case, Run, Stored
from load_client import Load
from s3wire import Body
from servers import Server

KIB: Final = 1024
MIB: Final = 1024**2
SIZES: Final = (KIB, 4 * KIB, 64 * KIB, MIB, 64 * MIB)
PAYLOADS: Final = ("random", "log", "u32")
CLIENTS: Final = (1, 8)
CLIENTS_LARGE: Final = (1, 4)  # from LARGE_BYTES on, or the bodies would not fit into memory
LARGE_BYTES: Final = 64 * MIB
KEYS: Final = {KIB: 256, 4 * KIB: 256, 64 * KIB: 64, MIB: 16, 64 * MIB: 2}
LIST_KEYS: Final = 1000
LIST_CLIENTS: Final = (8,)
BUCKET: Final = "bench"
BODIES: Final = 8
BODIES_BYTES_MAX: Final = 256 * MIB
WARM_UP_S: Final = 2.0
STORED_OBJECTS: Final = 64
STORED_SIZE: Final = MIB
SETTLE_S: Final = 2.0  # SeaweedFS writes its filer database behind the answers


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What the command line chose."""

    ours: str
    peers: tuple[str, ...]
    only: tuple[str, ...]
    quick: bool
    seconds: float
    rounds: int
    out: Path

    def wants(self, case: Case) -> bool:
        """Tell whether every word of --only is in the case's name."""
        if self.quick and (case.clients == 1 or case.payload == "u32" or case.size in {4 * KIB, LARGE_BYTES}):
            return False
        return all(word.lower() in case.name.lower().split() for word in self.only)


def cases() -> Iterator[Case]:
    """Give every case of the full run, by size."""
    for size in SIZES:
        for payload in PAYLOADS:
            for clients in CLIENTS_LARGE if size >= LARGE_BYTES else CLIENTS:
                yield Case("put", size, payload, clients)
                yield Case("get", size, payload, clients)
        if size == KIB:
            yield from (Case("list", size, "random", clients) for clients in LIST_CLIENTS)


def measure(server: Server, case: Case, bodies: Sequence[Body], seconds: float, round_number: int) -> Run:
    """Run one case against one server."""
    os.sync()
    job = Load(
        endpoint=server.endpoint,
        keys=server.keys,
        bodies=bodies,
        mix={case.operation: 1},
        bucket=BUCKET,
        prefix=f"{case.operation}-{case.size}-{case.payload}-{case.clients}/",
        connections=case.clients,
        processes=min(2, case.clients),
        duration_s=seconds,
        keys_per_connection=KEYS[case.size],
        list_keys=LIST_KEYS,
        seed=round_number,
    )
    report = load.run(job, server.cpu_s)
    return Run(server.name, case, round_number, report)


def bodies_for(case: Case) -> list[Body]:
    """Make the bodies of a case."""
    return load.make_bodies(case.payload, case.size, count=min(BODIES, BODIES_BYTES_MAX // case.size))


def warm_up(server: Server) -> None:
    """Let the server allocate, compile and connect what it does once; in the bucket that is measured then."""
    job = Load(
        endpoint=server.endpoint,
        keys=server.keys,
        bodies=load.make_bodies("log", 64 * KIB, count=2),
        mix={"put": 1, "get": 1},
        bucket=BUCKET,
        prefix="warm-up/",
        connections=8,
        duration_s=WARM_UP_S,
    )
    load.run(job)


def measure_stored(server: Server, payload: str) -> Stored:
    """Write objects that are all different, once each, and see what the disk took."""
    bodies = load.make_bodies(payload, STORED_SIZE, count=STORED_OBJECTS, seed=1000)
    time.sleep(SETTLE_S)
    os.sync()
    before = server.stored_bytes()
    job = Load(
        endpoint=server.endpoint,
        keys=server.keys,
        bodies=bodies,
        mix={"put": 1},
        bucket="stored",
        prefix=f"{payload}/",
        connections=1,
        operations_max=STORED_OBJECTS - 1,
        duration_s=120.0,
    )
    report = load.run(job)
    time.sleep(SETTLE_S)
    os.sync()
    return Stored(server.name, payload, report.count * STORED_SIZE, server.stored_bytes() - before)


def run_all(options: Options) -> tuple[list[Run], list[Stored]]:
    """Run the chosen cases, fresh servers for each size, and then the measurement of stored bytes."""
    runs: list[Run] = []
    names = (options.ours, *options.peers)
    chosen = [case for case in cases() if options.wants(case)]
    for size in dict.fromkeys(case.size for case in chosen):
        with contextlib.ExitStack() as stack:
            fleet = [stack.enter_context(servers.running(name)) for name in names]
            for server in fleet:
                warm_up(server)
            for case in (case for case in chosen if case.size == size):
                bodies = bodies_for(case)
                for number in range(options.rounds):
                    turn = number % len(fleet)
                    for server in fleet[turn:] + fleet[:turn]:
                        runs.append(measure(server, case, bodies, options.seconds, number))
                        print(bench_report.line(runs[-1]), flush=True)
    stored: list[Stored] = []
    if not options.only:
        with contextlib.ExitStack() as stack:
            fleet = [stack.enter_context(servers.running(name)) for name in names]
            stored = [measure_stored(server, payload) for payload in PAYLOADS for server in fleet]
    return runs, stored


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command. Returns 0 when everything ran, 3 when a server could not start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 clients, text and random, 1 KiB to 1 MiB")
    parser.add_argument("--only", nargs="+", default=(), metavar="WORD", help="e.g. put 64KiB log 8c")
    parser.add_argument("--gateway", action="store_true", help="ours in front of SeaweedFS, over SeaweedFS alone")
    parser.add_argument("--peers", help="comma-separated, or empty for ours alone (seaweedfs,rclone)")
    parser.add_argument("--seconds", type=float, help="for one case and server (default 4, quick 2)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    given = parser.parse_args(arguments)
    peers = given.peers if given.peers is not None else servers.UPSTREAM if given.gateway else "seaweedfs,rclone"
    options = Options(
        ours=servers.GATEWAY if given.gateway else "s4gw",
        peers=tuple(name for name in peers.split(",") if name),
        only=tuple(given.only),
        quick=given.quick,
        seconds=given.seconds or (2.0 if given.quick else 4.0),
        rounds=given.rounds,
        out=given.out,
    )
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    )
    try:
        runs, stored = run_all(options)
    except (RuntimeError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    options.out.mkdir(parents=True, exist_ok=True)
    print(bench_report.write(options.out, runs, stored, machine=machine, seconds=options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
