"""Tests of ``s4gw bench files``: it makes files that their own libraries read, and measures whatever is there."""

from __future__ import annotations

import json
import sqlite3
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from s4gw.tools import bench_make, cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pyarrow")
    made = tmp_path_factory.mktemp("files")
    bench_make.make(made, 256 * 1024)
    return made


def test_the_files_are_what_they_are_called(folder: Path) -> None:
    """Each opens with what usually opens it."""
    from pyarrow import ipc, parquet

    rows = {parquet.read_table(path).num_rows for path in folder.glob("*.parquet")}
    rows.add(ipc.open_file(folder / "table.arrow").read_all().num_rows)
    weights = (folder / "weights.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", weights[:8])
    layers = json.loads(weights[8 : 8 + size])
    with wave.open(str(folder / "sound.wav")) as sound:
        facts = (sound.getnchannels(), sound.getframerate())
    picture = (folder / "picture.bmp").read_bytes()
    (end,) = struct.unpack("<I", picture[2:6])
    with np.load(folder / "features.npz") as features:
        names = sorted(features.files)
    assert (1, (2, 44_100), (b"BM", len(picture))) == (len(rows), facts, (picture[:2], end))
    assert len(weights) == 8 + size + max(layer["data_offsets"][1] for layer in layers.values())
    assert (["features", "ids", "labels"], 8) == (names, np.load(folder / "sensors.npy").shape[1])
    assert {"@timestamp"} <= set(json.loads((folder / "logs.jsonl").read_bytes().splitlines()[0]))
    with sqlite3.connect(folder / "orders.sqlite") as database:
        assert [("ok",)] == database.execute("pragma integrity_check").fetchall()


def test_files_and_folders_are_measured(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row each, zstd 3 beside ours, and the average; nothing is larger than zstd 3 makes it."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "numbers.bin").write_bytes(np.arange(100_000, dtype="<u4").tobytes())
    (tmp_path / "in" / "empty").touch()
    out = tmp_path / "out"
    status = cli.main(
        ["bench", "files", str(tmp_path / "in"), str(folder / "sound.wav"), "--rounds", "1", "--out", str(out)]
    )
    shown = capsys.readouterr()
    rows = [line.split(" | ") for line in shown.out.splitlines() if line.startswith("| ")][1:]
    assert (0, ["| numbers.bin", "| sound.wav"]) == (status, [row[0] for row in rows])
    assert all(float(row[4]) >= 1 for row in rows)
    assert (True, True) == ("on average (geometric)" in shown.out, (out / "table.md").read_text() in shown.out + "\n")


def test_nothing_to_measure_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, status 2; a path that is not there is status 3."""
    status = cli.main(["bench", "files", str(tmp_path)])
    assert (2, "s4gw bench: name files or folders that are not empty, or --make DIR\n") == (
        status,
        capsys.readouterr().err,
    )
    assert 3 == cli.main(["bench", "files", str(tmp_path / "missing")])
