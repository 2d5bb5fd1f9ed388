"""Operations of compaction, snapshots and scrubbing: what becomes of volumes and of the extents in them.

They travel and stand in the journal as those of `ops` do, and follow the same rules.
"""

from __future__ import annotations

import msgspec

from s4gw.store.volume import Extent


class _Op(msgspec.Struct, array_like=True, frozen=True):
    """Base of the operations."""


class VolumeTurn(_Op, frozen=True, tag="vt"):
    """Close the volume that takes new data, and begin another, as if it were full."""


class VolumeAdd(_Op, frozen=True, tag="va"):
    """Take up a volume that compaction is going to fill; its file is there, durably."""

    volume: int


class VolumeSeal(_Op, frozen=True, tag="vs"):
    """Compaction writes no more to the volume."""

    volume: int


class Move(msgspec.Struct, array_like=True, frozen=True):
    """An extent and the copy of it."""

    extent: int
    """Number in the index."""
    volume: int
    offset: int
    copy: Extent


class Relocate(_Op, frozen=True, tag="rl"):
    """Let extents lie where their copies are, those only that still lie where the copy was made from."""

    moves: list[Move]


class Reap(_Op, frozen=True, tag="rp"):
    """Forget extents without a reference since *before_ms*; whoever has one by now is kept. Dead bodies go first."""

    before_ms: int
    runs: list[tuple[int, int]]
    """First number and count."""


class VolumeDrop(_Op, frozen=True, tag="vd"):
    """Nothing needs the file of the volume any more. Refused: bad_operation, when something does."""

    volume: int
    base_seq: int
    carried: list[tuple[int, int]]
    """Volumes that took its journal and snapshot records, and how many bytes of them."""
    reclaimed: int
    """Size of the file."""


class VolumeGone(_Op, frozen=True, tag="vg"):
    """The file of the volume is no more."""

    volume: int


class Snapshotted(_Op, frozen=True, tag="sn"):
    """All rows at sequence *seq* are in the volumes: journal records up to *journal_from* are needed no more."""

    seq: int
    journal_from: int
    """Base sequence of the volume that was current at *seq*."""
    first_volume: int
    """Id of that volume."""
    placed: list[tuple[int, int]]
    """Volumes that hold the snapshot, and how many bytes of it."""


class Scrubbed(_Op, frozen=True, tag="sc"):
    """The volume was read to its end, or as far as damage was found."""

    volume: int
    whole: bool
    read_bytes: int
    damaged: list[tuple[int, str]]
    """Offset of the record and what did not hold."""


VolumeOperation = (
    VolumeTurn | VolumeAdd | VolumeSeal | Relocate | Reap | VolumeDrop | VolumeGone | Snapshotted | Scrubbed
)
