"""Volumes: appends from many threads never mix, reads are checked, scans find every whole record."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from s4gw.store.errors import RecordDamaged, Unavailable
from s4gw.store.layout import VOLUME_HEADER, RecordKind, head_bytes, volume_path
from s4gw.store.record import Buffer
from s4gw.store.volume import AppendFile, Extent, VolumeReader, create_volume
from s4gw.store.walk import scan_volume


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "volumes").mkdir()
    create_volume(tmp_path, 1, 0)
    return tmp_path


def damage(data_dir: Path, offset: int, data: bytes) -> None:
    with volume_path(data_dir, 1).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_threads_append_without_mixing(data_dir: Path) -> None:
    written: list[tuple[Extent, bytes]] = []

    def work(number: int) -> None:
        rng = random.Random(number)
        file = AppendFile(data_dir, 1)
        for _ in range(50):
            data = rng.randbytes(rng.choice([1, 100, 70_000]))
            written.append((file.append(RecordKind.DATA, (data[:50], data[50:])), data))
        file.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = VolumeReader(data_dir)
    assert all(reader.read(extent, 0, extent.size) == data for extent, data in written)
    assert sorted(extent.offset for extent, _ in written) == [found.offset for found in scan_volume(data_dir, 1)]
    reader.close()


def test_a_range_equals_the_slice_of_the_whole(data_dir: Path) -> None:
    file, reader, rng = AppendFile(data_dir, 1), VolumeReader(data_dir), random.Random(0)
    for size in (1, 65_536, 65_537, 1_000_000):
        data = rng.randbytes(size)
        extent = file.append(RecordKind.DATA, (data,))
        for _ in range(20):
            start = rng.randrange(size)
            end = rng.randrange(start, size) + 1
            assert data[start:end] == reader.read(extent, start, end)


def test_an_extent_holds_these_bytes_and_no_others(data_dir: Path) -> None:
    """However they are cut; one that differs, is longer or shorter, lies elsewhere or is damaged does not."""
    file, reader, rng = AppendFile(data_dir, 1), VolumeReader(data_dir), random.Random(5)
    data = rng.randbytes(300_000)
    extent, other = (file.append(RecordKind.DATA, (each,)) for each in (data, bytes(300_000)))
    for cut in (1, 28, 65_536, 299_999):
        assert reader.holds(extent, (data[:cut], memoryview(data)[cut:]))
    wrong = data[:200_000] + bytes([data[200_000] ^ 1]) + data[200_001:]
    for buffers in ((wrong,), (data, b"x"), (data[:-1],)):
        assert not reader.holds(extent, buffers)
    assert not reader.holds(Extent(1, other.offset, extent.size, extent.crc), (data,))
    damage(data_dir, extent.offset + head_bytes(extent.size) + 70_000, bytes([data[70_000] ^ 4]))
    assert not reader.holds(extent, (data,))
    with pytest.raises(RecordDamaged):
        reader.holds(Extent(2, extent.offset, extent.size, extent.crc), (data,))


def test_damage_is_refused_where_it_is_and_nowhere_else(data_dir: Path) -> None:
    file, reader = AppendFile(data_dir, 1), VolumeReader(data_dir)
    extent = file.append(RecordKind.DATA, (b"x" * 200_000,))
    damage(data_dir, extent.offset + head_bytes(extent.size) + 70_000, b"y")
    assert b"x" * 65_536 == reader.read(extent, 0, 65_536)
    for start, end in ((65_536, 65_537), (0, 200_000)):
        with pytest.raises(RecordDamaged):
            reader.read(extent, start, end)


def test_another_record_in_the_place_is_refused(data_dir: Path) -> None:
    file, reader = AppendFile(data_dir, 1), VolumeReader(data_dir)
    first, second = (file.append(RecordKind.DATA, (data,)) for data in (b"first", b"secnd"))
    for wrong in (
        Extent(1, second.offset, 5, first.crc),
        Extent(1, first.offset + 1, 5, first.crc),
        Extent(1, first.offset, 4, first.crc),
        Extent(1, 10**6, 5, first.crc),
        Extent(2, first.offset, 5, first.crc),
    ):
        with pytest.raises(RecordDamaged):
            reader.read(wrong, 0, wrong.size)


def test_short_and_failing_writes_leave_the_next_append_right(data_dir: Path) -> None:
    def short(fd: int, buffers: Sequence[Buffer]) -> int:
        return os.write(fd, b"".join(buffers)[:30])

    def full(fd: int, buffers: Sequence[Buffer]) -> int:
        raise OSError(28, "No space left on device")

    for failing in (short, full):
        with pytest.raises(Unavailable):
            AppendFile(data_dir, 1, writev=failing).append(RecordKind.DATA, (b"lost" * 10,))
    extent = AppendFile(data_dir, 1).append(RecordKind.DATA, (b"kept",))
    assert b"kept" == VolumeReader(data_dir).read(extent, 0, 4)
    assert [extent.offset] == [found.offset for found in scan_volume(data_dir, 1)]


def test_more_buffers_than_the_kernel_takes_at_once(data_dir: Path) -> None:
    extent = AppendFile(data_dir, 1).append(RecordKind.DATA, [b"%04d" % n for n in range(3000)])
    assert b"".join(b"%04d" % n for n in range(3000)) == VolumeReader(data_dir).read(extent, 0, 12_000)


def test_scan_passes_over_damage_and_imitations(data_dir: Path) -> None:
    file = AppendFile(data_dir, 1)
    kept = [file.append(RecordKind.DATA, (b"1" * 100,))]
    broken = file.append(RecordKind.DATA, (b"2" * 100,))
    imitation = volume_path(data_dir, 1).read_bytes()[kept[0].offset :][:60]
    kept.append(file.append(RecordKind.DATA, (imitation * 3,)))
    with volume_path(data_dir, 1).open("ab") as torn:
        torn.write(b"\0" * 13)
    kept.append(file.append(RecordKind.JOURNAL, (b"3",)))
    damage(data_dir, broken.offset + 12, b"\xff\xff\xff\xff")
    with volume_path(data_dir, 1).open("ab") as torn:
        torn.write(imitation[:15])
    assert [extent.offset for extent in kept] == [found.offset for found in scan_volume(data_dir, 1)]


def test_a_volume_is_made_once(data_dir: Path) -> None:
    with pytest.raises(FileExistsError):
        create_volume(data_dir, 1, 0)
    path = volume_path(data_dir, 1)
    assert (0o600, VOLUME_HEADER.size) == (path.stat().st_mode & 0o777, path.stat().st_size)
