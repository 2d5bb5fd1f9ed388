"""A power cut keeps any part of what was not flushed: every such image opens with exactly the committed objects."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.store.rebuild import rebuild_index
from tests.crash.kit import check, make_bucket, put
from tests.store.kit import contents, memory_dir

COMMITS = 6


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """The images are judged by what they hold: a real disk's flushes only cost time."""
    with memory_dir() as place:
        yield place


def copy_index(source: Path, target: Path) -> None:
    for path in source.glob("index.db*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, target / path.name)


def test_every_cut_between_two_commits(tmp_path: Path) -> None:
    """Of the volume anything between commit n and what commit n + 1 wrote, with the index of any commit up to n."""
    data_dir = tmp_path / "data"
    backend = EmbeddedBackend(data_dir, in_process=True)
    make_bucket(backend)
    volume = data_dir / "volumes" / "0000000001.s4v"
    sizes, images = [volume.stat().st_size], [tmp_path / "index-0"]
    images[0].mkdir()
    copy_index(data_dir, images[0])
    for number in range(1, COMMITS + 1):
        put(backend, f"k{number}")
        sizes.append(volume.stat().st_size)
        images.append(tmp_path / f"index-{number}")
        images[number].mkdir()
        copy_index(data_dir, images[number])
    whole = volume.read_bytes()
    backend.close()
    rng = random.Random(0)
    for number in range(COMMITS):
        low, high = sizes[number], sizes[number + 1]
        for cut in {low, low + 1, low + 19, rng.randrange(low, high), high - 1, high}:
            for tail in (b"", b"\0" * 512, rng.randbytes(512)):
                image = images[rng.randrange(number + 1)]
                judge(tmp_path / "cut", data_dir, image, whole[:cut] + tail, number + (cut == high))


def judge(place: Path, data_dir: Path, image: Path, volume: bytes, committed: int) -> None:
    """Open what a power cut left: the flushed objects are there, the last if all of it reached the disk, no other."""
    place.mkdir()
    (place / "volumes").mkdir()
    (place / "FORMAT").write_bytes((data_dir / "FORMAT").read_bytes())
    (place / "volumes" / "0000000001.s4v").write_bytes(volume)
    copy_index(image, place)
    backend = EmbeddedBackend(place, in_process=True)
    acknowledged = [f"k{number}" for number in range(1, committed + 1)]
    check(backend, acknowledged, acknowledged)
    put(backend, "later")
    check(backend, [*acknowledged, "later"], [*acknowledged, "later"])
    backend.close()
    before = contents(place)
    rebuild_index(place)
    assert before == contents(place)
    shutil.rmtree(place)
