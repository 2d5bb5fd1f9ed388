"""`s4gw cat` gives back originals from files and stores, and says so when it cannot."""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import Mock

import pytest

from s4gw.backends import BucketInfo, EmbeddedBackend, ObjectMeta
from s4gw.codec import Choice, CodecId, FrameIndex, Manifest, encode_frame, encode_trailer
from s4gw.s3.errors import InternalError
from s4gw.tools import cat
from tests.codec.support import ORIGINAL, VECTORS, build, vector


def call(*argv: str | Path) -> int:
    """Run the command with *argv*."""
    parser = argparse.ArgumentParser()
    cat.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["cat", *map(str, argv)])
    return int(arguments.run(arguments))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("object-trailer-v1.bin", [], ORIGINAL[:3600]),
        ("object-s4-multipart.bin", [], ORIGINAL),
        ("frame-fcg1-zstd.bin", [], ORIGINAL),
        ("raw-gzip.bin", ["--codec", "cpu-gzip"], ORIGINAL),
        ("raw-zstd.bin", ["--codec", "cpu-zstd"], ORIGINAL),
        ("original.txt", [], ORIGINAL),
        ("frame-zstd.bin", ["--codec", "passthrough"], vector("frame-zstd.bin")),
        ("frame-zstd-dict.bin", ["--dictionary", str(VECTORS / "dictionary.bin")], ORIGINAL),
        ("object-trailer-v1.bin", ["--range", "1000-2999"], ORIGINAL[1000:3000]),
        ("object-trailer-v1.bin", ["--range", "3500-9999"], ORIGINAL[3500:3600]),
        ("object-s4-multipart.bin", ["--range=-5"], ORIGINAL[-5:]),
        ("raw-gzip.bin", ["--codec", "cpu-gzip", "--range", "7-"], ORIGINAL[7:]),
        ("original.txt", ["--range", "0-0"], ORIGINAL[:1]),
    ],
)
def test_originals(capfdbinary: pytest.CaptureFixture[bytes], name: str, options: list[str], expected: bytes) -> None:
    """Framed, padded, raw and plain files of this and of other gateways decode, whole and by range."""
    assert call(VECTORS / name, *options) == 0
    assert capfdbinary.readouterr() == (expected, b"")


def test_objects_of_a_store(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object of an embedded store decodes with no gateway; one that is gone is an OSError, damage is status 1."""
    backend = EmbeddedBackend(tmp_path, in_process=True)
    backend.create_bucket(BucketInfo(name="bucket", owner="o", created_ms=0))
    for key, body, framed in (("a/framed", vector("object-trailer-v1.bin"), True), ("plain", b"S4F2 is text", False)):
        writer = backend.open_writer("bucket", key, ObjectMeta())
        writer.write(body)
        backend.put_object("bucket", key, writer, size=3600, etag="e", meta=ObjectMeta(framed=framed))
    backend.close()
    assert call("--data-dir", tmp_path, "s3://bucket/a/framed") == 0
    assert call("--data-dir", tmp_path, "s3://bucket/a/framed", "--range", "5-9") == 0
    assert call("--data-dir", tmp_path, "s3://bucket/plain") == 0
    with pytest.raises(FileNotFoundError, match="s3://bucket/gone"):
        call("--data-dir", tmp_path, "s3://bucket/gone")
    monkeypatch.setattr(EmbeddedBackend, "read", Mock(side_effect=InternalError))
    assert call("--data-dir", tmp_path, "s3://bucket/plain") == 1
    assert capfdbinary.readouterr().out == ORIGINAL[:3600] + ORIGINAL[5:10] + b"S4F2 is text"


def test_an_empty_file_is_an_empty_original(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Nothing stored is nothing."""
    (tmp_path / "empty").touch()
    assert call(tmp_path / "empty") == 0
    assert capfdbinary.readouterr() == (b"", b"")


def test_damage_gives_status_1_and_no_byte_of_the_frame(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Frames before the damaged one come out, it and those behind it do not."""
    stored, index = build([(b"first " * 20, Choice(CodecId.CPU_ZSTD, 3)), (b"second", Choice(CodecId.PASSTHROUGH))])
    changed = bytearray(stored)
    changed[index.frame(1).stored_start + 28] ^= 1
    (tmp_path / "damaged").write_bytes(changed)
    assert call(tmp_path / "damaged") == 1
    out, err = capfdbinary.readouterr()
    assert out == b"first " * 20
    assert b"CRC-32C" in err
    assert err.count(b"\n") == 1


@pytest.mark.parametrize("size", [1, 100, 1918])
def test_cut_files(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], size: int) -> None:
    """A file that ends inside a frame is damage, known before anything is written."""
    (tmp_path / "cut").write_bytes(vector("object-trailer-v1.bin")[:-size])
    assert call(tmp_path / "cut") == 1
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"\n")) == (b"", 1)


def test_the_whole_is_held_against_the_trailer(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Sound frames under a trailer of other content are damage."""
    frame, index = encode_frame(b"hello", Choice(CodecId.PASSTHROUGH)), FrameIndex()
    index.append(5, frame.stored_size)
    trailer = encode_trailer(index, Manifest(original_size=5, crc32c=1))
    (tmp_path / "other").write_bytes(frame.header + b"hello" + trailer)
    assert call(tmp_path / "other") == 1
    assert b"the trailer says 00000001" in capfdbinary.readouterr().err


@pytest.mark.parametrize(
    "argv",
    [
        ["--range", "4000-", VECTORS / "original.txt"],
        ["--range", "a-b", VECTORS / "original.txt"],
        ["s3://bucket/key"],
        ["s3://bucket", "--data-dir", "."],
        ["s3://bucket/key", "--data-dir", "/nowhere"],
        ["s3://bucket/key", "--data-dir", VECTORS],
    ],
)
def test_misuse(capfdbinary: pytest.CaptureFixture[bytes], argv: list[str | Path]) -> None:
    """What the command line asks for and is not there is status 2, with one line."""
    assert call(*argv) == 2
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"\n")) == (b"", 1)


def test_a_missing_file_is_left_to_the_command_line() -> None:
    """A file that cannot be opened is an OSError, which `s4gw` turns into status 3."""
    with pytest.raises(FileNotFoundError):
        call("/nowhere")
