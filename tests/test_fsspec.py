"""`s4gw.fsspec`: originals over any target, in pieces, with their own sizes, and nothing that gateways hide."""

from __future__ import annotations

import gzip
import io
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from s4gw.checksum import crc32c
from s4gw.codec import (
    AlwaysDispatcher,
    Choice,
    CodecError,
    CodecId,
    DictionaryMissing,
    NotFramed,
    Sidecar,
    TruncatedFrame,
    compress,
    decompress,
    encode_frame,
    encode_sidecar,
)
from tests.codec.support import build
from tests.objects.bodies import mixed
from tests.objects.test_dictionaries import DICTIONARY, NAME, document

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402 - after the check

from s4gw.fsspec import S4FileSystem  # noqa: E402 - imports fsspec

DATA = mixed(300_000)
FRAME = 64 * 1024


class Bucket(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A target with user metadata, as s3fs is; it counts requests."""

    protocol = "bucket"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, int | None, int | None]] = []

    def metadata(self, path: str) -> dict[str, str]:
        return self.told.get(path, {})

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        self.asked.append((path, start, end))
        return bytes(super().cat_file(path, start, end))


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    made = Bucket()
    yield made
    made.store.clear()


@pytest.fixture
def fs(bucket: Bucket) -> S4FileSystem:
    return S4FileSystem(fs=bucket, frame_bytes=FRAME)


def test_what_is_written_is_stored_in_frames_and_read_back(fs: S4FileSystem, bucket: Bucket) -> None:
    """Any writes; the target holds what `compress` gives."""
    with fs.open("/b/k", "wb") as file:
        sizes = [file.write(DATA[start : start + 7919]) for start in range(0, len(DATA), 7919)]
    assert (len(DATA), DATA, DATA) == (sum(sizes), decompress(bucket.cat_file("/b/k")), fs.cat_file("/b/k"))
    assert compress(DATA, frame_bytes=FRAME) == bucket.cat_file("/b/k")
    assert (DATA[1000:1100], DATA[-5:]) == (fs.cat_file("/b/k", 1000, 1100), fs.tail("/b/k", 5))


def test_sizes_are_those_of_originals(fs: S4FileSystem, bucket: Bucket) -> None:
    """In info, ls, du and find; each is found out once."""
    fs.pipe_file("/b/k", DATA)
    fs.pipe_file("/b/empty", b"")
    bucket.pipe_file("/b/plain", b"never seen a gateway")
    stored = bucket.info("/b/k")["size"]
    sizes = {entry["name"]: entry["size"] for entry in fs.ls("/b")}
    asked = len(bucket.asked)
    found = fs.find("/b", detail=True)
    assert {"/b/k": len(DATA), "/b/empty": 0, "/b/plain": 20} == sizes
    assert sizes == {name: entry["size"] for name, entry in found.items()}
    assert (stored, len(DATA), asked) == (fs.info("/b/k")["stored_size"], fs.size("/b/k"), len(bucket.asked))
    assert b"never seen a gateway" == fs.cat_file("/b/plain")


def test_overwriting_is_noticed(fs: S4FileSystem) -> None:
    """A size that is remembered belongs to one version of the file."""
    fs.pipe_file("/b/k", b"first")
    assert 5 == fs.size("/b/k")
    fs.pipe_file("/b/k", DATA)
    assert (len(DATA), DATA) == (fs.size("/b/k"), fs.cat_file("/b/k"))


def test_a_range_costs_two_requests(fs: S4FileSystem, bucket: Bucket) -> None:
    """4 KiB of a large file: the end for the index, then the frame."""
    data = mixed(4_000_000)
    bucket.pipe_file(
        "/b/k", compress(data, dispatcher=AlwaysDispatcher(Choice(CodecId.PASSTHROUGH)), frame_bytes=FRAME)
    )
    with fs.open("/b/k") as file:
        file.seek(2_000_000)
        assert (data[2_000_000:2_004_096], 2) == (file.read(4096), len(bucket.asked))


def test_reading_in_order_takes_large_steps(fs: S4FileSystem, bucket: Bucket) -> None:
    """A copy of 16 MiB is a handful of requests, not one per frame."""
    data = mixed(1_000_000) * 16
    bucket.pipe_file(
        "/b/k", compress(data, dispatcher=AlwaysDispatcher(Choice(CodecId.PASSTHROUGH)), frame_bytes=FRAME)
    )
    with fs.open("/b/k") as file:
        pieces = list(iter(lambda: file.read(100_000), b""))
    assert (data, True) == (b"".join(pieces), len(bucket.asked) <= 6)


def test_what_gateways_keep_is_not_shown(fs: S4FileSystem, bucket: Bucket) -> None:
    """Index objects and reserved folders."""
    for name in ("/b/k", "/b/k.s4index", "/b/.s4dict/0123", "/b/.s4gw/mpu/x", "/b/.s4mpu/y", "/b/folder/k"):
        bucket.pipe_file(name, compress(b"x"))
    assert ["/b/folder", "/b/k"] == sorted(fs.ls("/b", detail=False))
    assert ["/b/folder/k", "/b/k"] == sorted(fs.find("/b"))


def test_objects_of_s4_are_read(fs: S4FileSystem, bucket: Bucket) -> None:
    """Framed with an index object beside it, and raw gzip that only its metadata describe."""
    body, index = build([(bytes([n]) * 100_000, Choice(CodecId.PASSTHROUGH)) for n in range(9)], trailer=False)
    entries = array("Q")
    for number in range(9):
        entry = index.frame(number)
        entries.extend((entry.original_start, entry.original_size, entry.stored_start, entry.stored_size))
    sidecar = Sidecar(original_size=900_000, framed_size=len(body), source_size=len(body), entries=entries)
    bucket.pipe_file("/b/framed", body)
    bucket.pipe_file("/b/framed.s4index", encode_sidecar(sidecar))
    packed = gzip.compress(DATA)
    bucket.pipe_file("/b/raw", packed)
    bucket.told["/b/raw"] = {
        "s4-codec": "cpu-gzip",
        "s4_original_size": str(len(DATA)),  # s3fs tells it with underscores
        "s4-compressed-size": str(len(packed)),
        "s4-crc32c": str(crc32c(DATA)),
    }
    with fs.open("/b/framed") as file:
        file.seek(500_000)
        assert (b"\5" * 10, 4) == (file.read(10), len(bucket.asked))  # end, first header, index object, frame
    assert (DATA, len(DATA)) == (fs.cat_file("/b/raw"), fs.size("/b/raw"))


def test_an_index_of_an_older_object_is_not_believed(fs: S4FileSystem, bucket: Bucket) -> None:
    """Its ETag is another one: the headers are walked."""
    body, _ = build([(b"a" * 5000, Choice(CodecId.PASSTHROUGH)), (b"b", Choice(CodecId.PASSTHROUGH))], trailer=False)
    wrong = Sidecar(
        original_size=5001, framed_size=len(body), source_etag="old", entries=array("Q", (0, 5001, 0, len(body)))
    )
    bucket.pipe_file("/b/k", body)
    bucket.pipe_file("/b/k.s4index", encode_sidecar(wrong))
    entry = {**bucket.info("/b/k"), "ETag": '"new"'}
    with fs._reader("/b/k", entry) as file:
        assert b"a" * 5000 + b"b" == file.read()


def test_metadata_win_over_looks(fs: S4FileSystem, bucket: Bucket) -> None:
    """A compressed file that somebody uploaded as it is stays as it is; what should be framed must be."""
    inner = compress(b"inner")
    bucket.pipe_file("/b/file", inner)
    bucket.told["/b/file"] = {
        "s4-codec": "passthrough",
        "s4-original-size": str(len(inner)),
        "s4-compressed-size": str(len(inner)),
        "s4-crc32c": str(crc32c(inner)),
    }
    bucket.pipe_file("/b/lost", b"was framed once")
    bucket.told["/b/lost"] = {"s4-framed": "true"}
    assert inner == fs.cat_file("/b/file")
    with pytest.raises(NotFramed):
        fs.cat_file("/b/lost")


def test_dictionaries_lie_in_the_bucket(fs: S4FileSystem, bucket: Bucket) -> None:
    """Objects name theirs in the metadata; one that is missing or was changed refuses the read."""
    data = document(4711)
    frame = encode_frame(data, Choice(CodecId.CPU_ZSTD_DICT, 3), dictionary=DICTIONARY)
    bucket.pipe_file("/b/logs/k", frame.header + bytes(frame.payload))
    bucket.told["/b/logs/k"] = {"s4-framed": "true", "s4-dict-id": NAME}
    bucket.pipe_file(f"/b/.s4dict/{NAME}", DICTIONARY)
    assert data == fs.cat_file("/b/logs/k")
    bucket.pipe_file(f"/b/.s4dict/{NAME}", b"other")
    with pytest.raises(DictionaryMissing):
        fs.cat_file("/b/logs/k")
    bucket.rm(f"/b/.s4dict/{NAME}")
    with pytest.raises(DictionaryMissing):
        fs.cat_file("/b/logs/k")


def test_a_write_that_fails_leaves_no_whole_object(fs: S4FileSystem, bucket: Bucket) -> None:
    """What was written before the error is refused by readers, not taken for a shorter original."""

    def write_and_fail() -> None:
        with fs.open("/b/k", "wb") as file:
            file.write(DATA)
            raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        write_and_fail()
    with pytest.raises(TruncatedFrame):
        fs.cat_file("/b/k")
    with pytest.raises(CodecError):
        decompress(bucket.cat_file("/b/k"))


def test_files_are_not_changed_in_place(fs: S4FileSystem) -> None:
    """Appending would break the trailer."""
    with pytest.raises(ValueError, match="not changed"):
        fs.open("/b/k", "ab")


def test_the_rest_goes_to_the_target(fs: S4FileSystem, bucket: Bucket) -> None:
    """Copies keep the stored bytes; folders, moves and removals are the target's."""
    fs.makedirs("/b/x", exist_ok=True)
    fs.mkdir("/b/y")
    fs.pipe_file("/b/k", DATA)
    fs.cp_file("/b/k", "/b/x/copy")
    fs.mv("/b/k", "/b/x/moved")
    fs.rmdir("/b/y")
    same = bucket.cat_file("/b/x/copy") == bucket.cat_file("/b/x/moved")
    assert (True, False, False, True) == (same, fs.exists("/b/k"), fs.exists("/b/y"), fs.isdir("/b/x"))
    assert (fs.created("/b/x/copy"), fs.modified("/b/x/copy")) == (
        bucket.created("/b/x/copy"),
        bucket.modified("/b/x/copy"),
    )
    fs.rm("/b/x", recursive=True)
    assert not fs.exists("/b/x")


def test_urls_name_the_target_in_both_ways(tmp_path: Path) -> None:
    """``s4://`` with options and the chained form; text on top; a codec of the caller's."""
    path = tmp_path / "k.txt"
    with fsspec.open(f"s4::file://{path}", "wt", s4={"codec": "cpu-zstd", "level": 19}) as file:
        file.write("line\n" * 10_000)
    with fsspec.open(f"s4://{path}", "rt", target_protocol="file") as file:
        assert ["line\n"] * 10_000 == list(file)
    with fsspec.open(f"s4::file://{path}", "rb") as file:
        assert b"line\n" == file.readline()
    assert (True, "s4") == (path.stat().st_size < 500, fsspec.url_to_fs(f"s4::file://{path}")[0].protocol)


def test_pyarrow_reads_parquet_through_it(tmp_path: Path) -> None:
    """A column of a Parquet file: pyarrow seeks, asks for sizes, and reads ranges."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"id": list(range(50_000)), "name": [f"n{number % 97}" for number in range(50_000)]})
    plain = io.BytesIO()
    parquet.write_table(table, plain, row_group_size=10_000, compression="none")
    fs = S4FileSystem("file", frame_bytes=FRAME)
    fs.pipe_file(str(tmp_path / "t.parquet"), plain.getvalue())
    names = parquet.read_table(str(tmp_path / "t.parquet"), columns=["name"], filesystem=fs)
    parquet.write_table(table, str(tmp_path / "u.parquet"), filesystem=fs)
    assert (table.select(["name"]), table) == (names, parquet.read_table(str(tmp_path / "u.parquet"), filesystem=fs))
