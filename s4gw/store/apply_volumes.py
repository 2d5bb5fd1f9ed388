"""What operations on volumes do to the index; see `apply_objects` for the rules.

One definition of what is alive: a DATA record is when a row of `extents` names it, a journal record when its last
sequence is behind `state.journal_from`, a snapshot record when it is of `state.snapshot_seq`. The counters of a volume
say how much that is, and a volume is given up only when they say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from s4gw.store.errors import BadOperation, NoSpace
from s4gw.store.layout import NO_LIMIT
from s4gw.store.ops import Outcome
from s4gw.store.schema import fetch
from s4gw.store.tables import Tables
from s4gw.store.volume_ops import (
    Reap,
    Relocate,
    Scrubbed,
    Snapshotted,
    VolumeAdd,
    VolumeDrop,
    VolumeGone,
    VolumeSeal,
    VolumeTurn,
)


def volume_turn(tables: Tables, _op: VolumeTurn, _inline: bytes | None) -> Outcome:
    """The committer does it, after the commit."""
    tables.turn = True
    return Outcome(seq=tables.take_seq())


def volume_add(tables: Tables, op: VolumeAdd, _inline: bytes | None) -> Outcome:
    """Refused for an id that is or was in use."""
    if _state(tables, op.volume) is not None and not tables.replaying:
        raise BadOperation(f"volume {op.volume} is known")
    seq = tables.take_seq()
    tables.execute(
        "INSERT INTO volumes (id, state, base_seq) VALUES (?, 'compact', ?)"
        " ON CONFLICT (id) DO UPDATE SET state = 'compact'",
        (op.volume, NO_LIMIT),
    )
    tables.volumes_good.add(op.volume)
    return Outcome(seq=seq)


def volume_seal(tables: Tables, op: VolumeSeal, _inline: bytes | None) -> Outcome:
    """A volume that is not being filled stays as it is."""
    seq = tables.take_seq()
    tables.execute("UPDATE volumes SET state = 'full' WHERE id = ? AND state = 'compact'", (op.volume,))
    return Outcome(seq=seq)


def relocate(tables: Tables, op: Relocate, _inline: bytes | None) -> Outcome:
    """Compare and set, extent by extent. The outcome's stored size is the payload bytes that moved."""
    tables.check_extents(move.copy for move in op.moves)
    seq = tables.take_seq()
    moved = 0
    for move in op.moves:
        copy = move.copy
        tables.execute(
            "UPDATE extents SET volume = ?, offset = ?, crc = ?"
            " WHERE id = ? AND volume = ? AND offset = ? AND size = ?",
            (copy.volume, copy.offset, copy.crc, move.extent, move.volume, move.offset, copy.size),
        )
        if tables.connection.changes():
            moved += copy.size
            tables.count_extent(move.volume, copy.size, -1)
            tables.count_extent(copy.volume, copy.size, 1)
    tables.touched.update(move.copy.volume for move in op.moves)
    tables.total("compacted_bytes", moved)
    return Outcome(seq=seq, stored_size=moved)


def reap(tables: Tables, op: Reap, _inline: bytes | None) -> Outcome:
    """The outcome's stored size is the payload bytes given up. With no runs it only releases what dead bodies hold."""
    seq = tables.take_seq()
    tables.remove_dead(every_one=True)
    reaped = 0
    for first, count in op.runs:
        rows = fetch(
            tables.connection,
            "DELETE FROM extents WHERE id BETWEEN ? AND ? AND refs = 0 AND zero_since <= ? RETURNING volume, size",
            (first, first + count - 1, op.before_ms),
        )
        for volume, size in rows:
            tables.count_extent(volume, size, -1)
            reaped += size
    return Outcome(seq=seq, stored_size=reaped)


def volume_drop(tables: Tables, op: VolumeDrop, _inline: bytes | None) -> Outcome:
    """Refused while a row names the volume, or when it is not closed."""
    tables.write_volume_counts()
    if not tables.replaying:
        state = _state(tables, op.volume)
        if state is None or state[0] not in ("full", "bad"):
            raise BadOperation(f"volume {op.volume} is not closed")
        if state[1:] != (0, 0):
            raise BadOperation(f"volume {op.volume} is in use")
        if any(volume not in tables.volumes_good for volume, _ in op.carried):
            raise NoSpace("a volume that took records of the journal")
    seq = tables.take_seq()
    tables.execute(
        "INSERT INTO volumes (id, state, base_seq) VALUES (?, 'deleting', ?)"
        " ON CONFLICT (id) DO UPDATE SET state = 'deleting', meta_bytes = 0",
        (op.volume, op.base_seq),
    )
    tables.execute("DELETE FROM damaged WHERE volume = ?", (op.volume,))
    for volume, size in op.carried:
        tables.count_meta(volume, size)
        tables.touched.add(volume)
    tables.total("reclaimed_bytes", op.reclaimed)
    tables.volumes_good.discard(op.volume)
    tables.dropped.add(op.volume)
    return Outcome(seq=seq)


def volume_gone(tables: Tables, op: VolumeGone, _inline: bytes | None) -> Outcome:
    """The row stays for its base sequence, as long as there is an older volume."""
    seq = tables.take_seq()
    tables.execute("UPDATE volumes SET state = 'gone' WHERE id = ? AND state = 'deleting'", (op.volume,))
    tables.execute(
        "DELETE FROM volumes WHERE state = 'gone' AND id < (SELECT min(id) FROM volumes WHERE state != 'gone')"
    )
    return Outcome(seq=seq)


def snapshotted(tables: Tables, op: Snapshotted, _inline: bytes | None) -> Outcome:
    """Refused when it is not newer than the one known."""
    known = tables.execute("SELECT snapshot_seq FROM state").fetchone()
    assert known is not None
    if op.seq <= known[0] and not tables.replaying:
        raise BadOperation("an older snapshot")
    if not tables.replaying and any(volume not in tables.volumes_good for volume, _ in op.placed):
        raise NoSpace("a volume of the snapshot")
    tables.write_volume_counts()
    seq = tables.take_seq()
    tables.execute("UPDATE state SET snapshot_seq = ?, journal_from = ?", (op.seq, op.journal_from))
    tables.execute("UPDATE volumes SET meta_bytes = 0 WHERE id < ? OR base_seq = ?", (op.first_volume, NO_LIMIT))
    for volume, size in op.placed:
        tables.count_meta(volume, size)
        tables.touched.add(volume)
    # of the newest one only: what journal records are weighed against
    tables.execute("INSERT OR REPLACE INTO totals VALUES ('snapshot_bytes', ?)", (sum(n for _, n in op.placed),))
    return Outcome(seq=seq)


def scrubbed(tables: Tables, op: Scrubbed, _inline: bytes | None) -> Outcome:
    """Damaged extents are remembered, and nothing new is stored as equal to them."""
    seq = tables.take_seq()
    if op.whole:
        tables.execute("UPDATE volumes SET scrubbed_ms = ? WHERE id = ?", (tables.now_ms, op.volume))
    new = 0
    for offset, reason in op.damaged:
        tables.execute("INSERT OR IGNORE INTO damaged VALUES (?, ?, ?, ?)", (op.volume, offset, tables.now_ms, reason))
        new += tables.connection.changes()
    if op.damaged:
        offsets = {offset for offset, _ in op.damaged}
        for number, offset in fetch(tables.connection, "SELECT id, offset FROM extents WHERE volume = ?", (op.volume,)):
            if offset in offsets:
                tables.execute("UPDATE extents SET hash = NULL WHERE id = ?", (number,))
    tables.total("scrubbed_bytes", op.read_bytes)
    tables.total("damaged_records", new)
    return Outcome(seq=seq)


def _state(tables: Tables, volume: int) -> tuple[Any, ...] | None:
    return tables.execute("SELECT state, extents, live_bytes FROM volumes WHERE id = ?", (volume,)).fetchone()


APPLY: Final[dict[type, Callable[[Tables, Any, bytes | None], Outcome]]] = {
    VolumeTurn: volume_turn,
    VolumeAdd: volume_add,
    VolumeSeal: volume_seal,
    Relocate: relocate,
    Reap: reap,
    VolumeDrop: volume_drop,
    VolumeGone: volume_gone,
    Snapshotted: snapshotted,
    Scrubbed: scrubbed,
}
