"""`make soak`: minutes of mixed load against a fresh gateway, then every acknowledged object is read back.

It looks for what short tests miss: memory or descriptors that grow, objects that go missing or change, keys that were
never written, errors that come once in ten thousand requests, tracebacks in the log.

    soak.py [--seconds 600] [--connections 8]

Exit status: 0 all is well, 1 damage, leak or error found, 3 the gateway did not start.
"""

from __future__ import annotations

import argparse
import http.client
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import load
import servers
from load_client import Client, Load
from s3wire import Body
from servers import Server

SIZES: Final = (0, 1, 100, 4096, 65_536, 1_048_577, 6 * 1024**2)
MIX: Final = {"put": 6, "get": 6, "range": 4, "head": 2, "delete": 1, "list": 1}
WARM_UP_SHARE: Final = 0.25  # allocators and caches have their size by then
IDLE_S: Final = 3.0
GROWTH_BYTES_MAX: Final = 48 * 1024**2  # for one process between the warm-up and the end
FILES_MORE_MAX: Final = 16
SECONDS_MAX: Final = 24 * 3600
LISTED_MAX: Final = 1000


def work(clients: Sequence[Client], seconds: float) -> None:
    """Let every client work in a thread of its own for *seconds*."""
    until_s = time.perf_counter() + seconds
    threads = [threading.Thread(target=client.work, args=(until_s,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def damage(clients: Sequence[Client]) -> list[str]:
    """Read back everything that was acknowledged, and list what else is there. Returns what is wrong."""
    wrong = []
    for client in clients:
        for number, body in client.stored.items():
            answer = client.link.request("GET", client.path(number), check=True)
            if (answer.status, answer.size, answer.crc32) != (200, body.size, body.crc32):
                wrong.append(f"{client.path(number)}: status {answer.status}, {answer.size} of {body.size} B")
        query = f"list-type=2&max-keys={LISTED_MAX}&prefix={quote(client.stem, safe='')}"
        listed = _text(client, query)
        count = int((re.search(r"<KeyCount>(\d+)<", listed) or ["", "-1"])[1])
        if count != len(client.stored):
            wrong.append(f"{client.stem}: {count} keys are listed, {len(client.stored)} were written")
    return wrong


def _text(client: Client, query: str) -> str:
    """Read a listing with its text, which the load client drops."""
    block, *_ = client.link.signer.sign("GET", f"/{client.load.bucket}", query, "UNSIGNED-PAYLOAD")
    headers = dict(line.split(": ", 1) for line in block.strip().split("\r\n"))
    link = http.client.HTTPConnection(client.load.endpoint.host, client.load.endpoint.port, timeout=60)
    link.request("GET", f"/{client.load.bucket}?{query}", headers={"Host": client.load.endpoint.authority} | headers)
    text = link.getresponse().read().decode()
    link.close()
    return text


def leaks(server: Server, before: dict[int, int], files_before: int) -> list[str]:
    """Compare memory and descriptors with what they were after the warm-up. Returns what grew."""
    found = []
    for pid, size in server.resident_bytes().items():
        grown = size - before.get(pid, size)
        if grown > GROWTH_BYTES_MAX:
            found.append(f"process {pid} grew by {grown / 1024**2:.0f} MiB to {size / 1024**2:.0f} MiB")
    if set(before) != set(server.resident_bytes()):
        found.append("a process died or was replaced")
    more = server.open_files() - files_before
    if more > FILES_MORE_MAX:
        found.append(f"{more} more descriptors are open")
    return found


def soak(server: Server, seconds: float, connections: int) -> list[str]:
    """Run the whole soak against *server*. Returns what is wrong, nothing if all is well."""
    bodies: list[Body] = []
    for size in SIZES:
        for kind in ("random", "log"):
            bodies += load.make_bodies(kind, size, count=2)
    job = Load(
        endpoint=server.endpoint,
        keys=server.keys,
        bodies=bodies,
        mix=MIX,
        bucket="soak",
        connections=connections,
        keys_per_connection=200,
        range_bytes=70_000,
        verify=True,
    )
    job.create_bucket()
    clients = [Client(job, 0, number) for number in range(connections)]
    for client in clients:
        client.prefill()
    work(clients, seconds * WARM_UP_SHARE)
    time.sleep(IDLE_S)
    before, files_before = server.resident_bytes(), server.open_files()
    work(clients, seconds * (1 - WARM_UP_SHARE))
    time.sleep(IDLE_S)
    counts = Counter({name: sum(len(client.latencies[name]) for client in clients) for name in MIX})
    print(f"{sum(counts.values())} operations: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    sizes = ", ".join(f"{size / 1024**2:.0f}" for size in server.resident_bytes().values())
    print(f"{sum(len(client.stored) for client in clients)} objects, resident MiB: {sizes}")
    errors = sum((client.errors for client in clients), Counter[str]())
    wrong = [f"{count} times {error}" for error, count in errors.most_common()]
    wrong += leaks(server, before, files_before) + damage(clients)
    tracebacks = server.log.read_text(errors="replace").count("Traceback")
    return wrong + ([f"{tracebacks} tracebacks in the log"] if tracebacks else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument(
        "--server",
        choices=(*servers.KINDS, servers.GATEWAY),
        default="s4gw",
        help="gateway: ours in front of SeaweedFS",
    )
    given = parser.parse_args(arguments)
    try:
        with servers.running(given.server) as server:
            wrong = soak(server, min(given.seconds, SECONDS_MAX), given.connections)
    except RuntimeError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 3
    for finding in wrong:
        print(f"soak: {finding}", file=sys.stderr)
    print("soak: " + ("FAILED" if wrong else "all is well"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
