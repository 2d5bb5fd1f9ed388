"""Whether the index agrees with itself: reference counts, counters, bodies and versions."""

# ruff: noqa: S608 - the interpolated texts are constants of ours
from __future__ import annotations

from array import array
from typing import Final

import apsw

from s4gw.store.layout import BLOCK_BYTES, RECORD_HEADER
from s4gw.store.schema import fetch, unpack_runs

FINDINGS_MAX: Final = 100
"""More of one kind are counted only."""


def disagreements(connection: apsw.Connection, *, limit: int = FINDINGS_MAX) -> list[str]:
    """What does not agree, one line each, at most *limit* of a kind; nothing when all is well.

    The caller holds a read transaction. Takes about a second for a million objects and four bytes of memory for each
    extent that ever was.
    """
    found = [str(line) for (line,) in fetch(connection, "PRAGMA quick_check(5)") if line != "ok"]
    if found:
        return found  # nothing below would mean anything
    return [
        *_references(connection, limit),
        *(text.format(*row) for query, text in _QUERIES for row in fetch(connection, f"{query} LIMIT {limit}", ())),
    ]


def _references(connection: apsw.Connection, limit: int) -> list[str]:
    """Compare the references counted in `extents` with those in bodies and parts."""
    [(size,)] = fetch(connection, "SELECT next_extent FROM state")
    named = array("I", bytes(4 * size))
    lines: list[str] = []
    for (packed,) in connection.execute("SELECT extents FROM bodies UNION ALL SELECT extents FROM parts"):
        for first, count, _ in unpack_runs(packed):
            for number in range(first, first + count):
                if number >= size:
                    lines.append(f"extent {number} was never given out")
                else:
                    named[number] += 1
    for number, refs, waits in connection.execute("SELECT id, refs, zero_since IS NOT NULL FROM extents"):
        if named[number] != refs:
            lines.append(f"extent {number} has {refs} references in the index, {named[number]} in fact")
        elif waits != (refs == 0):
            lines.append(f"extent {number} with {refs} references has the wrong time")
        named[number] = 0
        if len(lines) > limit:
            break
    else:
        lines += [f"extent {number} is missing" for number in range(size) if named[number]][:limit]
    return lines[:limit]


_HEAD: Final = f"({RECORD_HEADER.size} + 4 * ((size + {BLOCK_BYTES - 1}) / {BLOCK_BYTES}))"
_VOLUME_COUNTERS: Final = f"""
    SELECT v.id, v.extents, coalesce(e.n, 0), v.live_bytes, coalesce(e.live, 0), v.data_bytes, coalesce(e.data, 0)
    FROM volumes v LEFT JOIN (SELECT volume, count(*) n, sum(size + {_HEAD}) live, sum(size) data
                              FROM extents GROUP BY volume) e ON e.volume = v.id
    WHERE v.extents != coalesce(e.n, 0) OR v.live_bytes != coalesce(e.live, 0) OR v.data_bytes != coalesce(e.data, 0)
"""
_VOLUMES_MISSING: Final = """
    SELECT DISTINCT volume FROM extents
    WHERE volume NOT IN (SELECT id FROM volumes WHERE state NOT IN ('deleting', 'gone'))
"""
_BODIES_ALONE: Final = """
    SELECT seq FROM bodies WHERE seq NOT IN (SELECT seq FROM objects UNION ALL SELECT seq FROM versions)
        AND NOT EXISTS (SELECT 1 FROM dead WHERE id = seq / 32 AND mask >> (seq % 32) & 1)
"""
_DEAD_ALIVE: Final = """
    SELECT seq FROM (SELECT seq FROM objects UNION ALL SELECT seq FROM versions)
    JOIN dead ON id = seq / 32 AND mask >> (seq % 32) & 1
"""
_BODIES_MISSING: Final = """
    SELECT seq FROM (SELECT seq, flags FROM objects UNION ALL SELECT seq, flags FROM versions)
    WHERE NOT flags & 1 AND seq NOT IN (SELECT seq FROM bodies)
"""
_BUCKET_COUNTERS: Final = """
    SELECT b.name, b.objects, coalesce(o.shown, 0), b.versions, coalesce(o.n, 0) + coalesce(v.n, 0), b.bytes,
        coalesce(o.size, 0) + coalesce(v.size, 0) + coalesce(p.size, 0)
    FROM buckets b
    LEFT JOIN (SELECT bucket, sum(NOT flags & 1) shown, count(*) n, sum(stored_size) size FROM objects GROUP BY bucket)
        o ON o.bucket = b.id
    LEFT JOIN (SELECT bucket, count(*) n, sum(stored_size) size FROM versions GROUP BY bucket) v ON v.bucket = b.id
    LEFT JOIN (SELECT u.bucket, sum(p.stored_size) size FROM uploads u JOIN parts p ON p.upload = u.seq
               GROUP BY u.bucket) p ON p.bucket = b.id
    WHERE b.objects != coalesce(o.shown, 0) OR b.versions != coalesce(o.n, 0) + coalesce(v.n, 0)
        OR b.bytes != coalesce(o.size, 0) + coalesce(v.size, 0) + coalesce(p.size, 0)
"""
_PARTS_ALONE: Final = "SELECT upload, number FROM parts WHERE upload NOT IN (SELECT seq FROM uploads)"
_QUERIES: Final = (
    (
        _VOLUME_COUNTERS,
        "volume {} counts {} extents where there are {}, {} live bytes for {}, {} of data for {}",
    ),
    (_VOLUMES_MISSING, "extents lie in volume {}, which is not there"),
    (_BODIES_ALONE, "body {} belongs to no version"),
    (_DEAD_ALIVE, "body {} is to be removed and belongs to a version"),
    (_BODIES_MISSING, "version {} has no body"),
    (_BUCKET_COUNTERS, "bucket {} counts {} objects where there are {}, {} versions for {}, {} bytes for {}"),
    (_PARTS_ALONE, "part {1} belongs to no upload ({0})"),
)
