"""Files of the formats that data lakes, training runs and desktops are full of, for ``s4gw bench files --make``.

Each is written by the library that usually writes it, with data of `s4gw.tools.bench_portfolio` in it.
"""

from __future__ import annotations

import json
import struct
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.random import RandomState

from s4gw.tools import bench_portfolio as portfolio

SIZE: Final = 16 * 1024**2
"""Bytes of each file, about."""
_SEED: Final = 43
_BMP_WIDTH: Final = 2048
_BMP_HEADER: Final = struct.Struct("<2sIHHIIiiHHIIiiII")
"""BITMAPFILEHEADER and BITMAPINFOHEADER, as Windows documents them."""


def make(folder: Path, size: int = SIZE) -> list[Path]:
    """Write all files into *folder*, which is made if it is missing. Returns: their paths. Raises: ImportError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in FILES.items():
        write(folder / name, size)
    return [folder / name for name in FILES]


def _bytes_of(name: str) -> Callable[[Path, int], None]:
    """Write what the portfolio has under *name*."""

    def write(path: Path, size: int) -> None:
        path.write_bytes(portfolio.PORTFOLIO[name][1](size))

    return write


def _written(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _parquet(**options: Any) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        from pyarrow import parquet

        parquet.write_table(portfolio.table(size), path, row_group_size=200_000, **options)

    return write


def _arrow(path: Path, size: int) -> None:
    from pyarrow import ipc

    table = portfolio.table(size)
    with ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)


def _npy(path: Path, size: int) -> None:
    """A matrix of f64 readings: a column per sensor, three decimals."""
    steps = RandomState(_SEED).standard_normal((size // 64, 8))
    np.save(path, np.round(20 + np.cumsum(steps, axis=0) * 0.02, 3))


def _npz(path: Path, size: int) -> None:
    """Features, labels and ids of a data set, uncompressed, as numpy.savez writes them."""
    rng, rows = RandomState(_SEED), size // 80
    features = rng.standard_normal((rows, 16)).astype("<f4")
    labels = rng.randint(0, 10, rows).astype("<i8")
    np.savez(path, features=features, labels=labels, ids=np.arange(rows, dtype="<i8") * 3 + 1_000_000)


def _safetensors(path: Path, size: int) -> None:
    """Layers of a model as bf16, each with a deviation of its own; the header is that of the safetensors format."""
    rng, header, bodies, at = RandomState(_SEED), dict[str, Any](), list[bytes](), 0
    layers = 8
    for layer in range(layers):
        rows = size // layers // 2 // 1024
        values = (rng.standard_normal((rows, 1024)) * 0.02 * (1 + layer / 4)).astype("<f4")
        body = (values.view("<u4") >> np.uint32(16)).astype("<u2").tobytes()
        header[f"model.layers.{layer}.mlp.weight"] = {
            "dtype": "BF16",
            "shape": [rows, 1024],
            "data_offsets": [at, at + len(body)],
        }
        bodies.append(body)
        at += len(body)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(bodies))


def _wav(path: Path, size: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(portfolio.PORTFOLIO["pcm"][1](size))


def _bmp(path: Path, size: int) -> None:
    """24 bit, rows of 2048 pixels."""
    height = size // (3 * _BMP_WIDTH)
    pixels = portfolio.PORTFOLIO["rgb"][1](height * 3 * _BMP_WIDTH)
    head = _BMP_HEADER.pack(
        b"BM", _BMP_HEADER.size + len(pixels), 0, 0, _BMP_HEADER.size,
        40, _BMP_WIDTH, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0,
    )  # fmt: skip
    path.write_bytes(head + pixels)


FILES: Final[Mapping[str, Callable[[Path, int], None]]] = {
    "plain.parquet": _parquet(use_dictionary=False, compression="none"),
    "dictionary.parquet": _parquet(use_dictionary=True, compression="none"),
    "snappy.parquet": _parquet(use_dictionary=True, compression="snappy"),
    "table.arrow": _arrow,
    "sensors.npy": _npy,
    "features.npz": _npz,
    "weights.safetensors": _safetensors,
    "sound.wav": _wav,
    "picture.bmp": _bmp,
    "orders.sqlite": lambda path, size: _written(path, portfolio.database(size)),
    "sales.csv": _bytes_of("csv"),
    "logs.jsonl": _bytes_of("json"),
}
"""Name -> what writes it."""
