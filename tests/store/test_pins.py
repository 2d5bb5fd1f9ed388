"""A volume that bodies lie in is held by a lock for as long as one of them does, and no longer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from s4gw.store.layout import volume_path
from s4gw.store.pins import Claim, Pins, VolumeLeaving
from s4gw.store.volume import create_volume

VOLUMES = 12


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Pins]:
    (tmp_path / "volumes").mkdir()
    for volume in range(1, VOLUMES + 1):
        create_volume(tmp_path, volume, 0)
    made = Pins(tmp_path)
    yield made
    made.close()


def descriptors() -> int:
    """What this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def claimed(data_dir: Path, volume: int) -> bool:
    """Whether compaction could have the volume now."""
    try:
        Claim(data_dir, volume).close()
    except BlockingIOError:
        return False
    return True


def test_the_last_body_lets_go(pins: Pins, tmp_path: Path) -> None:
    """Again and again, though the descriptor is kept."""
    for _ in range(3):
        first, second = pins.hold(1), pins.hold(1)
        found = [claimed(tmp_path, 1), claimed(tmp_path, 2)]
        first.release()
        found.append(claimed(tmp_path, 1))
        second.release()
        second.release()
        found.append(claimed(tmp_path, 1))
        assert [False, True, False, True] == found


def test_nothing_new_goes_where_compaction_is(pins: Pins, tmp_path: Path) -> None:
    pins.hold(1).release()
    with Claim(tmp_path, 1), pytest.raises(VolumeLeaving):
        pins.hold(1)
    pins.hold(1).release()
    volume_path(tmp_path, 1).unlink()
    for _ in range(2):  # by the descriptor that was kept, then by its name
        with pytest.raises(VolumeLeaving):
            pins.hold(1)


def test_few_descriptors_are_kept(pins: Pins) -> None:
    before = descriptors()
    for volume in range(1, VOLUMES + 1):
        pins.hold(volume).release()
    kept = descriptors() - before
    pins.close()
    assert 0 < kept < VOLUMES
    assert before == descriptors()


def test_a_child_lets_go_of_nothing(pins: Pins, tmp_path: Path) -> None:
    """Locks are shared over a fork: what the child drops is still held by the parent."""
    pin = pins.hold(1)
    child = os.fork()
    if not child:
        pins.forget()
        pin.release()
        os._exit(0)
    os.waitpid(child, 0)
    held = not claimed(tmp_path, 1)
    pin.release()
    assert held
    assert claimed(tmp_path, 1)
