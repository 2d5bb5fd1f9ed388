"""Listings over a million keys: what a page costs, how long a start takes, how much memory storaged has.

`make bench-store` runs it. It builds stores of 10 thousand and 1 million keys (under 1000 prefixes), then measures in
one run, so that figures compare: pages of 1000 keys from random places, all common prefixes at once, the figures of
a bucket, the start of storaged on the large store with its resident set after a thousand commits.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from s4gw.store import NONCE_BYTES, Store, ops

BUCKET = "bucket"
PREFIXES = 1000
BATCH = 2000
PAGE = 1000
ROUNDS = 200
COMMITS = 1000


def key_of(number: int) -> bytes:
    """Keys spread over the prefixes."""
    return b"%03d/%08d" % (number % PREFIXES, number)


def put(key: bytes, number: int) -> ops.Put:
    """An object without a body: listings never look at bodies."""
    return ops.Put(
        BUCKET, key, [], 0, "d41d8cd98f00b204e9800998ecf8427e", b"meta", b"facts", number.to_bytes(NONCE_BYTES, "big")
    )


def build(data_dir: Path, keys: int) -> Store:
    """Make a store of so many keys, in random order."""
    store = Store(data_dir, in_process=True)
    store.submit(ops.CreateBucket(BUCKET, "owner", 1, "r", "", {}))
    numbers = list(range(keys))
    random.Random(0).shuffle(numbers)
    for first in range(0, keys, BATCH):
        store.submit_all([(put(key_of(number), number), b"") for number in numbers[first : first + BATCH]])
    return store


def timed(work: Callable[[], object], rounds: int) -> list[float]:
    """CPU milliseconds of each round, ascending."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return sorted(times)


def measure(store: Store, keys: int) -> dict[str, float]:
    """Milliseconds of CPU."""
    index, rng = store.index, random.Random(1)

    def page() -> None:
        after = key_of(rng.randrange(keys))
        index.list_current(BUCKET, prefix=b"", delimiter=b"", after=after, limit=PAGE)

    def prefixes() -> None:
        rows, _ = index.list_current(BUCKET, prefix=b"", delimiter=b"/", after=b"", limit=PREFIXES)
        assert len(rows) == PREFIXES

    pages, groups = timed(page, ROUNDS), timed(prefixes, 20)
    return {
        "page_ms_median": pages[ROUNDS // 2],
        "page_ms_p99": pages[ROUNDS * 99 // 100],
        "prefixes_ms_median": groups[10],
        "bucket_figures_ms": timed(lambda: index.bucket(BUCKET), 50)[25],
    }


def start(data_dir: Path) -> dict[str, float]:
    """Seconds until storaged serves, and MiB of memory after some commits through its socket."""
    reading, writing = os.pipe()
    begun = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "s4gw.store.storaged",
        "--data-dir",
        str(data_dir),
        "--parent-pid",
        str(os.getpid()),
    ]
    process = subprocess.Popen([*command, "--ready-fd", str(writing)], pass_fds=(writing,))
    os.close(writing)
    select.select([reading], [], [], 60)
    ready_s = time.monotonic() - begun
    used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
    store = Store(data_dir)
    for number in range(COMMITS):
        store.submit(put(b"later/%d" % number, number), b"")
    status = Path(f"/proc/{process.pid}/status").read_text()
    rss_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    store.close()
    process.terminate()
    process.wait()
    return {"start_s": ready_s, "start_cpu_s": cpu_s, "rss_mib": rss_kib / 1024}


def main() -> int:
    """Measure and print. Returns: 1 when a page costs more than 1.5 times as much with a hundred times the keys."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="s4gw-scale-"))
    figures: dict[str, dict[str, float]] = {}
    try:
        for keys in (options.keys // 100, options.keys):
            store = build(place / str(keys), keys)
            figures[f"{keys} keys"] = measure(store, keys)
            store.close()
        figures["storaged"] = start(place / str(options.keys))
    finally:
        shutil.rmtree(place)
    small, large, _ = figures.values()
    ratio = large["page_ms_median"] / small["page_ms_median"]
    print(json.dumps({**figures, "page_ratio": ratio}, indent=1))
    return 0 if ratio < 1.5 else 1  # noqa: PLR2004 - what is promised


if __name__ == "__main__":
    sys.exit(main())
