"""`s4gw inspect` shows what a stored body is made of, for people and for programs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from s4gw.codec import Choice, CodecId
from s4gw.tools import cli, inspect
from tests.codec.support import VECTORS, build, vector


def call(*argv: str | Path) -> int:
    """Run the command with *argv*."""
    parser = argparse.ArgumentParser()
    inspect.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["inspect", *map(str, argv)])
    return int(arguments.run(arguments))


def report(capsys: pytest.CaptureFixture[str], status: int, *argv: str | Path) -> dict[str, Any]:
    """Run with ``--json`` and give the document."""
    assert call("--json", *argv) == status
    return dict(json.loads(capsys.readouterr().out))


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """A line per frame, one per codec, the totals and the trailer."""
    assert call(VECTORS / "object-trailer-v1.bin") == 0
    assert capsys.readouterr().out.splitlines() == [
        "   frame  codec               original        stored    ratio",
        "       0  cpu-zstd                1200           298     4.03",
        "       1  passthrough             1200          1228     0.98",
        "       2  cpu-gzip                1200           390     3.08",
        "       1x cpu-gzip                1200           390     3.08",
        "       1x cpu-zstd                1200           298     4.03",
        "       1x passthrough             1200          1228     0.98",
        "   total  framed                  3600          2111     1.71",
        "padding: 195 bytes",
        "trailer: sound, 195 bytes",
        "  etag: 7484165c08711217b093fc246204dc4e-2",
        "  crc32c: 88a1a50a",
        "  checksums: CRC32=4mVbww==-2",
        "  checksum type: COMPOSITE",
        "  parts: 2",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The same facts as a document."""
    found = report(capsys, 0, VECTORS / "object-trailer-v1.bin")
    assert (found["kind"], found["original_size"], found["stored_size"]) == ("framed", 3600, 2111)
    assert [frame["offset"] for frame in found["frames"]] == [0, 298, 1526]
    assert found["codecs"]["cpu-gzip"] == {"frames": 1, "original_size": 1200, "stored_size": 390}
    assert found["trailer"]["manifest"]["etag"] == "7484165c08711217b093fc246204dc4e-2"


def test_padded_object_of_another_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    """Paddings are counted and are no trailer."""
    found = report(capsys, 0, VECTORS / "object-s4-multipart.bin")
    assert (found["padding_size"], found["trailer"]["state"]) == (2048 - 449, "none")


def test_padding_at_the_end_is_no_trailer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A last part that was padded with zeros is sound."""
    (tmp_path / "padded").write_bytes(vector("object-s4-multipart.bin")[:2048])
    assert report(capsys, 0, tmp_path / "padded")["trailer"]["state"] == "none"


@pytest.mark.parametrize(
    ("argv", "kind", "original_size"),
    [
        ([VECTORS / "original.txt"], "plain", 3642),
        ([VECTORS / "raw-gzip.bin"], "plain", 946),
        ([VECTORS / "raw-gzip.bin", "--codec", "cpu-gzip"], "raw", 3642),
        ([VECTORS / "frame-zstd.bin", "--codec", "passthrough"], "raw", 768),
    ],
)
def test_unframed(capsys: pytest.CaptureFixture[str], argv: list[str | Path], kind: str, original_size: int) -> None:
    """A body without frames is plain, or raw when its codec is named."""
    found = report(capsys, 0, *argv)
    assert (found["kind"], found["original_size"], found["frames"]) == (kind, original_size, [])


def test_damaged_trailer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The frames are shown, the trailer is called damaged, the status says so."""
    changed = bytearray(vector("object-trailer-v1.bin"))
    changed[-100] ^= 1
    (tmp_path / "damaged").write_bytes(changed)
    found = report(capsys, 1, tmp_path / "damaged")
    assert (len(found["frames"]), found["trailer"]["state"]) == (3, "damaged")


def test_trailer_that_disagrees_with_the_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trailer whose sums are right but whose frames are not is damage, too."""
    plain = Choice(CodecId.PASSTHROUGH)
    stored, index = build([(b"a" * 10, plain), (b"b" * 20, plain)])
    swapped, _ = build([(b"b" * 20, plain), (b"a" * 10, plain)])
    (tmp_path / "swapped").write_bytes(swapped[: index.stored_size] + stored[index.stored_size :])
    assert report(capsys, 1, tmp_path / "swapped")["trailer"]["reason"] == "its index is not that of the frames"


def test_cut_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands before the damage is shown; the rest is one line on standard error."""
    (tmp_path / "cut").write_bytes(vector("object-trailer-v1.bin")[:1000])
    assert call(tmp_path / "cut") == 1
    out, err = capsys.readouterr()
    assert "cpu-zstd" in out
    assert err.count("\n") == 1


def test_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """An object without a store is misuse."""
    assert call("s3://bucket/key") == 2
    assert "--data-dir" in capsys.readouterr().err


def test_parameters_of_codecs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Frames of our own codecs show how they are encoded."""
    names = ("typed-pack-big-endian", "typed-planes", "pco-f64", "segments", "zstd-cascade")
    stored = tmp_path / "object"
    stored.write_bytes(b"".join((VECTORS / f"frame-{name}.bin").read_bytes() for name in names))
    details = [frame["detail"] for frame in report(capsys, 0, stored)["frames"]]
    assert details == [
        "pack u64 big-endian, 8 bits",
        "planes 7 delta f",
        "f64",
        "4003 typed pack u64, 8 bits; 120000 zstd-cascade; 2800 typed planes 7 delta 14; 3 passthrough",
        "",
    ]
    assert call(stored) == 0
    assert "       2  pco                     4003          1135     3.53  f64" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("name", "version"), [("sidecar-v1.bin", 1), ("sidecar-v2.bin", 2), ("sidecar-v3.bin", 3)])
def test_index_objects_of_s4(capsys: pytest.CaptureFixture[str], name: str, version: int) -> None:
    """What they say about which object, of every version."""
    found = report(capsys, 0, VECTORS / name)
    assert (f"index of S4, version {version}", True) == (found["kind"], len(found["frames"]) > 0)
    assert found["original_size"] == sum(frame["original_size"] for frame in found["frames"])
    assert call(VECTORS / name) == 0
    assert "of an object of" in capsys.readouterr().out


def test_damaged_index_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and why."""
    (tmp_path / "k.s4index").write_bytes(vector("sidecar-v2.bin")[:-1])
    assert "bytes for" in report(capsys, 1, tmp_path / "k.s4index")["damage"]


def test_encrypted_objects_of_s4_are_called_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are no originals: inspect names the envelope, cat refuses them; --codec passthrough takes the bytes."""
    (tmp_path / "k").write_bytes(b"S4E6\x01\x00\x01" + bytes(100))
    assert "encrypted, S4E6" == report(capfd, 0, tmp_path / "k")["kind"]
    refused, taken = (cli.main(["cat", str(tmp_path / "k"), *more]) for more in ([], ["--codec", "passthrough"]))
    assert (1, 0, True) == (refused, taken, "encryption S4E6 of S4 is not supported" in capfd.readouterr().err)
