"""A body read in order is the same bytes, however the reads are cut and wherever compaction has moved its extents."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.store import RecordDamaged, Store, unpack_runs
from s4gw.store.layout import RecordKind, volume_path
from s4gw.store.span import BodySpan, blocks
from s4gw.store.volume import AppendFile, Extent, VolumeReader, create_volume

from . import kit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with_bucket = Store(tmp_path / "data", in_process=True)
    kit.make_bucket(with_bucket)
    yield with_bucket
    with_bucket.close()


def stored(store: Store, data: bytes, cuts: list[int]) -> list[tuple[int, int, int]]:
    """Store *data* in pieces of these sizes, large ones as extents of their own. Returns: its runs."""
    body, at = store.stage(), 0
    for size in cuts:
        body.write(data[at : at + size])
        at += size
    extents, inline = store.finish(body)
    store.submit(kit.put_op("k", extents, len(data)), inline)
    return unpack_runs(store.index.current(kit.BUCKET, b"k").extents or b"")


def test_any_cut_of_the_reads_gives_the_same_bytes(store: Store) -> None:
    rng = random.Random(7)
    data = rng.randbytes(9_000_000)
    cuts = [1_048_604] * 3 + [1_500_000, 20, 70_000, 300_000, 1_048_604, 1_048_604, 1_048_604]
    runs = stored(store, data, [*cuts, len(data) - sum(cuts)])
    assert len(runs) > 2
    for _ in range(30):
        start = rng.randrange(len(data))
        end = rng.randrange(start, len(data)) + 1
        span, pieces, left = store.open_span(runs, start, end), [], end - start
        while left:
            pieces.append(span.read(min(left, rng.choice([1, 65_536, 1_048_604, 4_000_000]))))
            left -= len(pieces[-1])
        assert data[start:end] == b"".join(pieces) == store.read(runs, start, end)


def test_more_than_there_is_is_refused(store: Store) -> None:
    runs = stored(store, b"x" * 3_000_000, [3_000_000])
    span = store.open_span(runs, 2_999_990, 3_000_000)
    assert b"x" * 10 == span.read(10)
    assert 0 == len(span.read(0))
    with pytest.raises(RecordDamaged):
        span.read(1)


def test_an_extent_that_was_moved_is_looked_up_again(tmp_path: Path) -> None:
    """The first look-up gives the place that compaction has just emptied; another one that does not end is an error."""
    (tmp_path / "volumes").mkdir()
    create_volume(tmp_path, 1, 0)
    file, reader = AppendFile(tmp_path, 1), VolumeReader(tmp_path)
    extents = [file.append(RecordKind.DATA, (bytes([letter]) * 100_000,)) for letter in b"abc"]
    gone = Extent(9, 40, 100_000, extents[1].crc)
    looks: list[tuple[int, int]] = []

    def look_up(first: int, count: int) -> list[Extent]:
        looks.append((first, count))
        return [extents[0], gone, extents[2]] if count > 1 else [extents[first - 5]]

    span = BodySpan(blocks(look_up, reader, [(5, 3, 100_000)], 0, 300_000))
    assert b"a" * 100_000 + b"b" * 100_000 + b"c" * 100_000 == span.read(300_000)
    assert [(5, 3), (6, 1)] == looks
    extents[1] = gone
    with pytest.raises(RecordDamaged):
        list(blocks(look_up, reader, [(5, 3, 100_000)], 150_000, 160_000))


def test_what_a_read_remembers_is_forgotten_when_the_extent_has_moved(tmp_path: Path) -> None:
    """Later reads do without the look-up, until the place is empty; the one after that remembers the new place."""
    (tmp_path / "volumes").mkdir()
    create_volume(tmp_path, 1, 0)
    file, reader = AppendFile(tmp_path, 1), VolumeReader(tmp_path)
    old, new = (file.append(RecordKind.DATA, (b"a" * 100_000,)) for _ in range(2))
    place, known = [old], dict[int, Extent]()
    looks: list[int] = []

    def look_up(first: int, count: int) -> list[Extent]:
        looks.extend([first] * count)
        return place

    def read() -> bytes:
        return b"".join(blocks(look_up, reader, [(5, 1, 100_000)], 10, 100_000, known))

    assert [b"a" * 99_990] * 2 == [read(), read()]
    assert [5] == looks
    place[0] = new
    with volume_path(tmp_path, 1).open("r+b") as volume:
        volume.seek(old.offset)
        volume.write(bytes(20))
    assert [b"a" * 99_990] * 3 == [read(), read(), read()]
    assert [5] * 3 == looks
    assert {5: new} == known
