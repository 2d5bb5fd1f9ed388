"""Short ways to say what the store's tests say often."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from s4gw.store import NONCE_BYTES, VOLUME_BYTES, Extent, Outcome, Refused, Store, ops, unpack_runs, wire
from s4gw.store.ops import Order, When
from s4gw.store.recovery import open_committer, prepare
from s4gw.store.snapshot import tables
from s4gw.store.storaged import Server

BUCKET = "b"
SERVING_ENDS_S_MAX = 20.0
_NONCES = itertools.count(1)

_MEMORY = Path("/dev/shm")
_MEMORY_BYTES_MIN = 512 * 1024**2


@contextmanager
def memory_dir() -> Iterator[Path]:
    """A directory whose flushes cost nothing, where the system has room for one.

    For tests that commit hundreds of times and ask what is written, never whether it was flushed.
    """
    usable = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES_MIN
    with tempfile.TemporaryDirectory(prefix="s4gw-test-", dir=_MEMORY if usable else None) as place:
        yield Path(place)


@contextmanager
def serving(data_dir: Path) -> Iterator[None]:
    """Storaged's event loop over *data_dir* in a thread of this process: all of storaged but the process."""
    prepare(data_dir)
    reports: list[str] = []
    lock, committer = open_committer(data_dir, VOLUME_BYTES, reports.append)
    reading, writing = os.pipe()
    listener = wire.listen(data_dir, 10)
    thread = threading.Thread(target=Server(committer, listener, parent=reading, wake=None).serve)
    thread.start()
    try:
        yield
    finally:
        os.close(writing)  # the loop's "parent" ends
        thread.join(SERVING_ENDS_S_MAX)
        listener.close()
        committer.close()
        lock.release()
        os.close(reading)
    assert not thread.is_alive()


def nonce() -> bytes:
    return next(_NONCES).to_bytes(NONCE_BYTES, "big")


def order(operation: ops.Operation, inline: bytes | None = None) -> Order:
    return Order(msgspec.Raw(msgspec.msgpack.encode(operation)), inline)


def make_bucket(store: Store, name: str = BUCKET, versioning: str = "") -> None:
    store.submit(ops.CreateBucket(name, "owner", 1, "r", versioning, {}))


def put(store: Store, key: str, data: bytes = b"data", *, bucket: str = BUCKET, when: When | None = None) -> Outcome:
    body = store.stage()
    body.write(data)
    extents, inline = store.finish(body)
    return store.submit(put_op(key, extents, len(data), bucket=bucket, when=when), inline)


def put_op(key: str, extents: list[Extent], size: int, *, bucket: str = BUCKET, when: When | None = None) -> ops.Put:
    return ops.Put(bucket, key.encode(), extents, size, "etag", b"meta", b"facts", nonce(), when)


def delete(store: Store, key: str, version_id: str | None = None) -> Outcome | Refused:
    return store.submit_all([(ops.Delete(BUCKET, key.encode(), version_id, nonce()), None)])[0]


def get(store: Store, key: str, *, bucket: str = BUCKET) -> bytes:
    row = store.index.current(bucket, key.encode())
    if row.inline is not None:
        return row.inline
    return bytes(store.read(unpack_runs(row.extents or b""), 0, row.stored_size))


def keys(store: Store, bucket: str = BUCKET) -> list[str]:
    rows, _ = store.index.list_current(bucket, prefix=b"", delimiter=b"", after=b"", limit=100_000)
    return [row.key.decode() for row in rows]


def check_references(data_dir: Path) -> None:
    """Reference counts and bucket counters are what the rows say."""
    index = apsw.Connection(str(data_dir / "index.db"), flags=apsw.SQLITE_OPEN_READONLY)
    named: Counter[int] = Counter()
    for (packed,) in index.execute("SELECT extents FROM bodies UNION ALL SELECT extents FROM parts"):
        for first, count, _ in unpack_runs(packed):
            named.update(range(first, first + count))
    kept = {row[0]: (row[1], row[2]) for row in index.execute("SELECT id, refs, zero_since FROM extents")}
    assert {number: named[number] for number in kept} == {number: refs for number, (refs, _) in kept.items()}
    assert [] == [number for number, (refs, since) in kept.items() if (refs == 0) != (since is not None)]
    assert set() == set(named) - set(kept)
    counted = index.execute("SELECT id, objects, versions, bytes FROM buckets ORDER BY id").fetchall()
    expected = [
        (
            bucket,
            *index.execute(
                "SELECT (SELECT count(*) FROM objects WHERE bucket = ?1 AND NOT flags & 1),"
                " count(*) FROM"
                " (SELECT stored_size FROM objects WHERE bucket = ?1"
                " UNION ALL SELECT stored_size FROM versions WHERE bucket = ?1)",
                (bucket,),
            ).fetchall()[0],
            sum(
                size
                for (size,) in index.execute(
                    "SELECT stored_size FROM objects WHERE bucket = ?1"
                    " UNION ALL SELECT stored_size FROM versions WHERE bucket = ?1"
                    " UNION ALL SELECT stored_size FROM parts"
                    " WHERE upload IN (SELECT seq FROM uploads WHERE bucket = ?1)",
                    (bucket,),
                )
            ),
        )
        for bucket, *_ in counted
    ]
    bodies = index.execute(
        "SELECT count(*) FROM bodies WHERE seq NOT IN (SELECT seq FROM objects UNION ALL SELECT seq FROM versions)"
        " AND NOT EXISTS (SELECT 1 FROM dead WHERE id = seq / 32 AND mask >> (seq % 32) & 1)"
    ).fetchall()
    index.close()
    assert (expected, [(0,)]) == (counted, bodies)


def contents(data_dir: Path) -> dict[str, list[Any]]:
    """What the index says, without the numbers that it gives itself."""
    index = apsw.Connection(str(data_dir / "index.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows = {name: index.execute(query).fetchall() for name, query in _CONTENTS.items()}
    for table in ("bodies", "parts"):
        rows[table] = [(*row[:-1], list(_places(index, row[-1]))) for row in rows[table]]
    index.close()
    return rows


def _places(index: apsw.Connection, packed: Any) -> Iterator[tuple[Any, ...]]:
    for first, count, _ in unpack_runs(packed):
        yield from index.execute(
            "SELECT volume, offset, size, crc, refs, zero_since FROM extents WHERE id BETWEEN ? AND ?",
            (first, first + count - 1),
        )


_VERSION = "bucket.name, o.key, o.seq, o.flags, o.size, o.etag, o.stored_size, o.modified_ms, document, o.nonce"
_CONTENTS = {
    "buckets": "SELECT name, changed_seq, owner, created_ms, region, versioning, objects, versions, bytes, configs,"
    " lock, mfa_delete, quota FROM buckets ORDER BY name",
    "objects": f"SELECT {_VERSION} FROM objects o JOIN buckets bucket ON bucket.id = o.bucket"
    " JOIN facts ON facts.id = o.facts ORDER BY 1, 2",
    "versions": f"SELECT {_VERSION} FROM versions o JOIN buckets bucket ON bucket.id = o.bucket"
    " JOIN facts ON facts.id = o.facts ORDER BY 1, 2, 3",
    "bodies": "SELECT seq, meta, inline, extents FROM bodies ORDER BY seq",
    "used_codes": "SELECT device, step FROM used_codes ORDER BY device",
    "locks": "SELECT seq, mode, until_ms, hold FROM locks ORDER BY seq",
    "uploads": "SELECT seq, key, upload_id, started_ms, document FROM uploads ORDER BY seq",
    "parts": "SELECT upload, number, seq, stored_size, modified_ms, document, extents FROM parts ORDER BY 1, 2",
    "completed": "SELECT upload_id, key, at_ms, seq, flags, size, etag, stored_size, nonce, meta FROM completed",
    "state": "SELECT last_seq FROM state",
}


def all_rows(data_dir: Path) -> dict[str, list[Any]]:
    """Every row of every table, but for what a rebuild cannot know: where a volume had failed, and its last bytes."""
    index = apsw.Connection(str(data_dir / "index.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows: dict[str, list[Any]] = {name: index.execute(f"SELECT * FROM {name}").fetchall() for name in tables(index)}
    index.close()
    return rows
