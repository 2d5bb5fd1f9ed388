"""Real and made input for the live tests: the same bytes on every run, from what every machine has.

The nginx, Parquet-like and numeric sets follow S4's published benchmark, so that ratios can be compared; the others are
what people store. Files are made in a folder that the caller gives; bytes are given in blocks, so that nothing here
holds a large set in memory twice.
"""

from __future__ import annotations

import base64
import gzip
import os
import random
import shutil
import sqlite3
import struct
import tarfile
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

MIB: Final = 1024**2
NGINX_BYTES: Final = 256 * MIB
NGINX_LINE: Final = (
    b'203.0.113.42 - - [12/May/2026:10:30:45 +0000] "GET /api/v1/users/123 HTTP/1.1" 200 4521 '
    b'"https://example.com/dashboard" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) '
    b'Chrome/120.0.0.0 Safari/537.36"\n'
)
NGINX_LINE_BYTES: Final = 224
NGINX_RECORD_BYTES: Final = 245
PARQUET_TEXT: Final = b"col=user_id,type=u32,encoding=plain\n" * 32
DOCUMENTS: Final = Path("/usr/share/doc")
LOGS: Final = (Path("/var/log"), Path("/var/log/apt"))
TREE_FILES_MAX: Final = 200
TREE_FILE_BYTES_MAX: Final = 2 * MIB

# a white 8 x 8 picture, baseline JPEG: the smallest file that every decoder takes
TINY_JPEG: Final = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP////////////////////////////////////////////////////////////////////////////"
    "//////////////////////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEA"
    "AD8AP//Z"
)


def nginx(size: int = NGINX_BYTES) -> Iterator[bytes]:
    """The log of S4's benchmark: one constant line and a counter, 245 bytes a record, cut at *size*."""
    assert len(NGINX_LINE) == NGINX_LINE_BYTES
    per_block, left, record = MIB // NGINX_RECORD_BYTES, size, 0
    while left > 0:
        block = b"".join(NGINX_LINE + b" id=%016x\n" % number for number in range(record, record + per_block))[:left]
        record, left = record + per_block, left - len(block)
        yield block


def parquet_like(size: int) -> Iterator[bytes]:
    """1024 running u32, then the same 36-byte text 32 times, and so on, cut at *size*."""
    left, value = size, 0
    while left > 0:
        block = (struct.pack("<1024I", *range(value, value + 1024)) + PARQUET_TEXT)[:left]
        value, left = value + 1024, left - len(block)
        yield block


def postings(size: int) -> Iterator[bytes]:
    """Running u32."""
    step = MIB // 4
    for start in range(0, size // 4, step):
        yield array("I", range(start, min(start + step, size // 4))).tobytes()


def timestamps(size: int) -> Iterator[bytes]:
    """i64 nanoseconds, a millisecond apart and a jitter that cycles through 32 values."""
    value = 1_700_000_000_000_000_000
    for start in range(0, size // 8, MIB // 8):
        block = array("q")
        for number in range(start, min(start + MIB // 8, size // 8)):
            block.append(value)
            value += 1_000_000 + (8 * (number + 1)) % 256
        yield block.tobytes()


def random_bytes(size: int, seed: int = 7) -> Iterator[bytes]:
    """What cannot be compressed."""
    rng = random.Random(seed)
    for start in range(0, size, MIB):
        yield rng.randbytes(min(MIB, size - start))


def synthetic(size: int) -> Iterator[bytes]:
    """Cheap at any size: blocks of text and of noise in turn, each marked with its number."""
    noise, text = random.Random(11).randbytes(MIB), b"".join(nginx(MIB))
    for number, start in enumerate(range(0, size, MIB)):
        block = struct.pack("<Q", number) + (noise if number % 4 == 0 else text)[8:]
        yield block[: min(MIB, size - start)]


def parquet(path: Path, rows: int = 400_000) -> None:
    """A table of a search engine's events, as pyarrow writes it: 8 row groups, Snappy, dictionaries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = random.Random(3)
    pool = [f"/api/v1/items/{number}" for number in range(500)]
    table = pa.table(
        {
            "ts": pa.array([1_767_225_600_000 + 37 * row + rng.randrange(30) for row in range(rows)], pa.int64()),
            "user_id": pa.array([rng.randrange(50_000) for _ in range(rows)], pa.uint32()),
            "path": pa.array([pool[min(499, int(rng.expovariate(0.02)))] for _ in range(rows)]),
            "latency_ms": pa.array([round(rng.lognormvariate(3, 1), 3) for _ in range(rows)], pa.float64()),
        }
    )
    pq.write_table(table, path, row_group_size=rows // 8)


def packages_tar(path: Path) -> None:
    """A tar of Python packages: the sources of the libraries that run these tests."""
    import falcon
    import hypothesis

    with tarfile.open(path, "w") as archive:
        for package in (falcon, hypothesis):
            folder = Path(package.__file__ or "").parent
            for source in sorted(folder.rglob("*.py")):
                archive.add(source, arcname=f"{folder.name}/{source.relative_to(folder)}", filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


def database(path: Path, rows: int = 60_000) -> None:
    """An SQLite file with an index, some rows deleted."""
    rng = random.Random(5)
    with sqlite3.connect(path) as link:
        link.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, seen INTEGER)")
        link.executemany(
            "INSERT INTO item VALUES (?, ?, ?, ?)",
            (
                (row, f"item {rng.randrange(10_000):05d}", rng.random() * 100, rng.randrange(2**31))
                for row in range(rows)
            ),
        )
        link.execute("CREATE INDEX item_name ON item (name)")
        link.execute("DELETE FROM item WHERE id % 7 = 0")
    link.close()


def picture(path: Path) -> None:
    """A JPEG: the first real one among the documentation, or else the smallest possible."""
    found = (photo for photo in sorted(DOCUMENTS.rglob("*.jpg")) if photo.is_file() and photo.stat().st_size > 1024)
    photo = next(found, None) if DOCUMENTS.is_dir() else None
    path.write_bytes(TINY_JPEG if photo is None else photo.read_bytes())


def gzipped(path: Path) -> None:
    """A gzip file of a log."""
    with path.open("wb") as sink, gzip.GzipFile("", "wb", 6, sink, mtime=0) as packed:
        packed.writelines(nginx(4 * MIB))


def real_log(path: Path) -> None:
    """The largest log of this machine that may be read, or else one like it."""
    logs = [log for folder in LOGS if folder.is_dir() for log in folder.glob("*.log") if _readable(log)]
    if logs:
        path.write_bytes(max(logs, key=lambda log: log.stat().st_size).read_bytes()[: 16 * MIB])
    else:
        path.write_bytes(b"".join(nginx(300_000)))


def _readable(path: Path) -> bool:
    try:
        with path.open("rb") as source:
            return bool(source.read(1))
    except OSError:
        return False


def document_tree(folder: Path) -> int:
    """Copy a slice of Debian's documentation, links resolved, nested names kept. Returns the number of files.

    Nothing is younger than a minute: S3's listings have whole seconds, so that `aws s3 sync` sends what changed in the
    second of its upload again, whatever the server.
    """
    sources = sorted(path for path in DOCUMENTS.rglob("*") if path.is_file()) if DOCUMENTS.is_dir() else []
    step = max(1, len(sources) // TREE_FILES_MAX)
    chosen = [path for path in sources[::step] if _readable(path) and path.stat().st_size <= TREE_FILE_BYTES_MAX]
    for path in chosen:
        target = folder / path.relative_to(DOCUMENTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    if not chosen:
        for number in range(20):
            (folder / f"package-{number}").mkdir(parents=True)
            (folder / f"package-{number}" / "copyright").write_bytes(b"".join(nginx(1000 * number)))
    for name, content in ODD_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    files = [path for path in folder.rglob("*") if path.is_file()]
    before = time.time() - 60
    for path in files:
        os.utime(path, (before, before))
    return len(files)


ODD_FILES: Final[Mapping[str, bytes]] = {
    "empty": b"",
    "one": b"\x00",
    "name with space + plus & ampersand.txt": b"odd\n",
    "ünïcödé/文件 %41.txt": b"percent\n",
    "quote's/a=b;c,d~e!(f)*": b"marks\n",
    "deep/a/b/c/d/e/f/g/h/leaf": b"leaf\n",
}
"""Names that clients, signatures and XML get wrong, and the smallest contents."""


def _blocks(make: Callable[[int], Iterator[bytes]], size: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as sink:
            sink.writelines(make(size))

    return write


FILES: Final[Mapping[str, Callable[[Path], None]]] = {
    "empty": _blocks(random_bytes, 0),
    "one-byte": _blocks(random_bytes, 1),
    "log": real_log,
    "nginx-16m": _blocks(nginx, 16 * MIB),
    "parquet": parquet,
    "tar": packages_tar,
    "sqlite": database,
    "jpeg": picture,
    "gzip": gzipped,
    "postings-8m": _blocks(postings, 8 * MIB),
    "timestamps-8m": _blocks(timestamps, 8 * MIB),
    "parquet-like-8m": _blocks(parquet_like, 8 * MIB),
    "random-9m": _blocks(random_bytes, 9 * MIB + 17),
}
"""Name -> writes the file: every kind of content that must come back bit for bit."""


def make(name: str, folder: Path) -> Path:
    """Write the set *name* of `FILES` into *folder*, once. Returns its path."""
    path = folder / name
    if not path.exists():
        FILES[name](path)
    return path
