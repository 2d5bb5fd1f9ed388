"""What is measured on gigabytes: space that comes back while everybody goes on, equal trees that are stored once."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from s4gw.backends import BucketInfo, EmbeddedBackend, ObjectMeta
from s4gw.codec import CodecId, SamplingDispatcher
from s4gw.objects import Objects
from s4gw.store import Store, upkeeping
from tests.objects.bodies import BytesSource
from tests.objects.test_codecs import PLAIN
from tests.store.kit import delete, get, make_bucket, put

MIB = 1024**2
TOTAL = 2 * 1024 * MIB
VOLUME_BYTES = 64 * MIB


def body(number: int) -> bytes:
    rng = random.Random(number)
    return rng.randbytes(rng.choice([4096, 50_000, MIB, 4 * MIB, 16 * MIB]))


@pytest.mark.large
@pytest.mark.timeout(1800)
def test_half_of_two_gib_comes_back_under_load(tmp_path: Path) -> None:
    """After deleting half and a full run, the disk holds what is alive and at most 5 % more; readers saw every byte."""
    data_dir = tmp_path / "data"
    with closing(Store(data_dir, volume_bytes=VOLUME_BYTES)) as store:
        make_bucket(store)
        digests: dict[str, bytes] = {}
        size = number = 0
        while size < TOTAL:
            data = body(number)
            put(store, f"k{number}", data)
            digests[f"k{number}"] = hashlib.sha256(data).digest()
            size += len(data)
            number += 1
        rng = random.Random(0)
        for key in rng.sample(sorted(digests), len(digests) // 2):
            delete(store, key)
            del digests[key]
        done = threading.Event()
        wrong: list[str] = []
        read = 0

        def reader() -> None:
            nonlocal read
            mine = random.Random(1)
            keys = sorted(digests)
            while not done.is_set():
                key = mine.choice(keys)
                if hashlib.sha256(get(store, key)).digest() != digests[key]:
                    wrong.append(key)
                read += 1

        thread = threading.Thread(target=reader)
        thread.start()
        before = upkeeping.stats(data_dir)
        upkeeping.compact(store, upkeeping.FULL, upkeeping.Pace(data_dir, 0), volume_bytes=VOLUME_BYTES, grace_s=0)
        done.set()
        thread.join()
        after = upkeeping.stats(data_dir)
        on_disk = sum(path.stat().st_size for path in (data_dir / "volumes").iterdir())
        print(f"alive {after.unique_bytes}, on disk {before.disk_bytes} before, {on_disk} after; {read} reads")  # noqa: T201
        for key, digest in digests.items():
            assert digest == hashlib.sha256(get(store, key)).digest()
    assert ([], True) == (wrong, read > 10)
    assert on_disk < 1.05 * after.unique_bytes


def tree(seed: int) -> Iterator[tuple[str, bytes]]:
    """Files of many sizes, noise and text, a GiB in all."""
    rng = random.Random(seed)
    words = [rng.randbytes(6).hex().encode() for _ in range(3000)]
    size = number = 0
    while size < TOTAL // 2:
        wanted = rng.choice([6_000, 40_000, 300_000, 3 * MIB, 20 * MIB])
        data = rng.randbytes(wanted) if number % 2 else b" ".join(rng.choices(words, k=wanted // 13))
        yield f"f{number}", data
        size += len(data)
        number += 1


def objects_over(backend: EmbeddedBackend) -> Objects:
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=1))
    return Objects(backend, SamplingDispatcher(default=CodecId.CPU_ZSTD))


@pytest.mark.large
@pytest.mark.timeout(1800)
def test_the_same_gib_twice(tmp_path: Path) -> None:
    """The second copy adds less than 1 % to the disk."""
    backend = EmbeddedBackend(tmp_path / "data", in_process=True, dedup="bucket", volume_bytes=VOLUME_BYTES)
    objects = objects_over(backend)
    sizes = []
    for side in "ab":
        for name, data in tree(1):
            objects.put("b", f"{side}/{name}", BytesSource(data), meta=ObjectMeta(owner="o"), plan=PLAIN)
        sizes.append(upkeeping.stats(tmp_path / "data").disk_bytes)
    stats = upkeeping.stats(tmp_path / "data")
    backend.close()
    print(f"on disk {sizes[0]}, {sizes[1]} after the second; ratio {stats.ratio:.4f}")  # noqa: T201
    assert sizes[1] < 1.01 * sizes[0]


def test_two_tars_that_differ_in_one_file(tmp_path: Path) -> None:
    """They share every stretch of 1 MiB that the file does not touch."""
    backend = EmbeddedBackend(tmp_path / "data", in_process=True, dedup="bucket")
    objects = objects_over(backend)
    rng = random.Random(1)
    files = {f"f{number}": rng.randbytes(700_000) for number in range(40)}
    unique = []
    for name in ("one", "two"):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as writer:
            for key, data in files.items():
                entry = tarfile.TarInfo(key)
                entry.size = len(data)
                writer.addfile(entry, io.BytesIO(data))
        objects.put("b", name, BytesSource(archive.getvalue()), meta=ObjectMeta(owner="o"), plan=PLAIN)
        unique.append(upkeeping.stats(tmp_path / "data").unique_bytes)
        files["f20"] = rng.randbytes(700_000)
    backend.close()
    assert unique[1] - unique[0] < 3 * MIB
