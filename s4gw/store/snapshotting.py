"""Taking a snapshot of the index into volumes of compaction; see `snapshot` for what it holds."""

from __future__ import annotations

from s4gw.store import snapshot
from s4gw.store.agreement import disagreements
from s4gw.store.errors import Unavailable
from s4gw.store.layout import RecordKind, head_bytes
from s4gw.store.schema import fetch
from s4gw.store.snapshot import SnapshotPart
from s4gw.store.upkeep import Filler, Upkeep
from s4gw.store.volume_ops import Snapshotted


def take_snapshot(run: Upkeep, filler: Filler) -> None:
    """Write all rows of the index as it is now, and let storaged know: older journal records are dead then.

    Raises: Unavailable, also when the index does not agree with itself, since the journal is what is right then.
    """
    connection = run.connection
    placed: dict[int, int] = {}
    run.step("snapshot")
    connection.execute("BEGIN")
    try:
        found = disagreements(connection)
        if found:
            raise Unavailable(f"the index does not agree with itself: {found[0]}")
        [(seq, current)] = fetch(connection, "SELECT last_seq, volume FROM state")
        [(journal_from,)] = fetch(connection, "SELECT base_seq FROM volumes WHERE id = ?", (current,))
        number = 0

        def emit(data: bytes, last: bool) -> None:  # noqa: FBT001 - the shape that `dump` calls
            nonlocal number
            part = SnapshotPart(seq, number, last, journal_from, data)
            copy = filler.append(RecordKind.SNAPSHOT, snapshot.encode(part))
            size = head_bytes(copy.size) + copy.size
            placed[copy.volume] = placed.get(copy.volume, 0) + size
            number += 1
            run.pace.spend(size)

        snapshot.dump(connection, emit)
    finally:
        connection.execute("ROLLBACK")
    filler.flush()
    run.step("snapshot taken")
    run.store.submit(Snapshotted(seq, journal_from, current, list(placed.items())))
