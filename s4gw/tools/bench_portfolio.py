"""Real-like data for `s4gw bench codecs`: what object stores are full of, made deterministically.

Logs, tables, columns, tensors, samples, pictures, records, archives. `source` and `elf` are the files of the running
Python itself. Randomness comes from numpy's frozen legacy generator, whose streams never change.
"""

from __future__ import annotations

import gzip
import io
import sqlite3
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.random import RandomState

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE: Final = 20 * 1024**2
"""Bytes of each set in a full run."""
_SEED: Final = 42
_START_S: Final = 1_778_581_845  # 2026-05-12T10:30:45Z
_ROWS: Final = 10_000  # lines that are made at a time
_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH")
_METHOD_SHARES: Final = (0.60, 0.25, 0.08, 0.04, 0.03)
_STATUSES: Final = (200, 201, 204, 301, 304, 400, 401, 404, 429, 500, 503)
_FAILURES: Final = (500, 503)
_STATUS_SHARES: Final = (0.70, 0.08, 0.04, 0.02, 0.05, 0.03, 0.02, 0.03, 0.01, 0.01, 0.01)
_SERVICES: Final = ("auth", "billing", "cart", "catalog", "mail", "orders", "search", "users")
_NOUNS: Final = ("users", "orders", "items", "sessions", "invoices", "carts", "search", "metrics")


def _lines(block: Callable[[RandomState, int], Iterable[str]], size: int) -> bytes:
    """Join blocks of `_ROWS` lines up to *size* bytes."""
    rng, made, first = RandomState(_SEED), bytearray(), 0
    while len(made) < size:
        made += "".join(block(rng, first)).encode()
        first += _ROWS
    return bytes(made[:size])


def _pick(rng: RandomState, values: tuple[Any, ...], shares: tuple[float, ...] | None = None) -> list[Any]:
    numbers = rng.choice(len(values), _ROWS, p=shares)
    return [values[number] for number in numbers.tolist()]


def _json(size: int) -> bytes:
    """Application logs in the manner of the Elastic Common Schema, one JSON document a line."""
    return _lines(_json_block, size)


def _json_block(rng: RandomState, first: int) -> Iterable[str]:
    paths = tuple(f"/api/v{n % 3 + 1}/{_NOUNS[n % 8]}" for n in range(23))
    columns = (
        range(first, first + _ROWS),
        _pick(rng, _SERVICES),
        rng.randint(1, 21, _ROWS).tolist(),
        _pick(rng, _METHODS, _METHOD_SHARES),
        _pick(rng, paths),
        _pick(rng, _STATUSES, _STATUS_SHARES),
        rng.randint(0, 2**16, _ROWS).tolist(),
        rng.randint(1, 5000, _ROWS).tolist(),
        (rng.bytes(24).hex() for _ in range(_ROWS)),
        rng.lognormal(4, 1, _ROWS).tolist(),
    )
    for number, service, host, method, path, status, address, user, trace, took in zip(*columns, strict=True):
        second, milli = divmod(number * 7, 1000)
        hours, rest = divmod(second + 37845, 3600)
        yield (
            f'{{"@timestamp":"2026-05-{12 + hours // 24:02}T{hours % 24:02}:{rest // 60:02}:{rest % 60:02}.{milli:03}Z"'
            f',"log.level":"{"error" if status in _FAILURES else "info"}","service.name":"{service}",'
            f'"host.name":"prod-eu-{host:02}.internal","http.request.method":"{method}","url.path":"{path}",'
            f'"http.response.status_code":{status},"client.ip":"10.0.{address >> 8}.{address & 255}",'
            f'"user.id":"u-{user:05}","trace.id":"{trace[:32]}","span.id":"{trace[32:]}","event.duration_ms":{took:.1f},'
            f'"message":"request handled"}}\n'
        )


def _nginx_real(size: int) -> bytes:
    """An access log of 5000 addresses, 20 000 paths and 300 user agents, skewed as traffic is."""
    return _lines(_nginx_block, size)


def _nginx_block(rng: RandomState, first: int) -> Iterable[str]:
    agents = [
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{110 + n % 30}.0.{n * 37 % 6000}.0 "
        "Safari/537.36"
        for n in range(100)
        for system in ("X11; Linux x86_64", "Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7")
    ]
    columns = (
        np.cumsum(rng.poisson(0.05, _ROWS)).tolist(),
        ((rng.pareto(0.7, _ROWS) * 100).astype(np.int64) % 5000).tolist(),
        ((rng.pareto(0.7, _ROWS) * 40).astype(np.int64) % 20000).tolist(),
        ((rng.pareto(1.0, _ROWS) * 8).astype(np.int64) % 300).tolist(),
        _pick(rng, (200, 304, 404, 302, 500), (0.86, 0.07, 0.04, 0.02, 0.01)),
    )
    for later, address, path, agent, status in zip(*columns, strict=True):
        second = 37845 + first // 20 + later
        page = f"/shop/{_NOUNS[path % 8]}/{path * 7919 % 99991}"
        size = path * 2654435761 % 40000 + 300 if status == _STATUSES[0] else 162
        referer = f"https://www.example.com/shop/{_NOUNS[path % 8]}"
        yield (
            f"198.51.{address >> 8}.{address & 255} - - "
            f"[{12 + second // 86400}/May/2026:{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02} +0000] "
            f'"GET {page} HTTP/1.1" {status} {size} "{referer}" "{agents[agent]}"\n'
        )


def _csv(size: int) -> bytes:
    """Sales: id, time, shop, product, quantity, price, customer."""
    return _lines(_csv_block, size)


def _csv_block(rng: RandomState, first: int) -> Iterable[str]:
    columns = (
        range(first, first + _ROWS),
        np.cumsum(rng.randint(0, 9, _ROWS)).tolist(),
        rng.randint(1, 40, _ROWS).tolist(),
        ((rng.pareto(1.5, _ROWS) * 200).astype(np.int64) % 9000).tolist(),
        rng.geometric(0.6, _ROWS).tolist(),
        rng.randint(0, 100_000, _ROWS).tolist(),
    )
    for number, later, shop, product, quantity, customer in zip(*columns, strict=True):
        hours, rest = divmod(first * 4 + later, 3600)
        price = product * 2654435761 % 19999 / 100
        paid = price * quantity * (100 - number * 40503 % 65536 % 31) / 100
        yield (
            f"{number},2026-05-{hours // 24 % 28 + 1:02} {hours % 24:02}:{rest // 60:02}:{rest % 60:02},shop-{shop},"
            f"SKU-{product:05},{quantity},{price:.2f},{paid:.2f},C{customer:06}\n"
        )


def _files(paths: Iterable[Path], size: int) -> Iterable[Path]:
    """The first files that hold *size* bytes together."""
    for path in paths:
        if size <= 0:
            return
        size -= path.stat().st_size
        yield path


def _source(size: int) -> bytes:
    """A tar archive of the standard library's sources."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in _files(found, size):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mtime = path.stat().st_size, _START_S
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return out.getvalue()[:size]


def _elf(size: int) -> bytes:
    """The interpreter and the shared libraries of installed packages, one after another."""
    paths = sysconfig.get_paths()
    found = sorted(path for folder in (paths["platlib"], paths["stdlib"]) for path in Path(folder).rglob("*.so"))
    return b"".join(path.read_bytes() for path in _files([Path(sys.executable), *found], size))[:size]


def _sqlite(size: int) -> bytes:
    return database(size)[:size]


def database(size: int) -> bytes:
    """Make a database file of *size* bytes or a little more: orders with an index, as sqlite3 writes it."""
    rng, rows = RandomState(_SEED), max(1, size // 95)
    customers = rng.randint(1, 50_000, rows).tolist()
    cents = rng.randint(100, 50_000, rows).tolist()
    notes = rng.randint(0, 40, (rows, 3)).tolist()
    words = [f"{noun} {verb}" for noun in _NOUNS for verb in ("shipped", "held", "returned", "paid", "open")]
    connection = sqlite3.connect(":memory:")
    connection.execute("create table orders (id integer primary key, at text, customer integer, total real, note text)")
    connection.executemany(
        "insert into orders values (?, ?, ?, ?, ?)",
        (
            (n, f"2026-05-12 {n // 3600 % 24:02}:{n // 60 % 60:02}:{n % 60:02}", customers[n], cents[n] / 100, note)
            for n, note in ((n, "; ".join(words[word] for word in notes[n])) for n in range(rows))
        ),
    )
    connection.execute("create index by_customer on orders (customer)")
    connection.commit()
    image: bytes = connection.serialize()
    return image


def table(size: int) -> Any:
    """Make a table of about *size* bytes: ids, times, keys, categories, prices, measures."""
    import pyarrow as pa

    rng, rows = RandomState(_SEED), max(1, size // 45)
    countries = np.array(["de", "fr", "gb", "it", "jp", "nl", "pl", "us"])
    return pa.table(
        {
            "id": np.arange(rows, dtype=np.int64) + 10_000_000,
            "at": (_START_S * 1000 + np.cumsum(rng.randint(0, 60, rows))).astype(np.int64),
            "user": ((rng.pareto(1.2, rows) * 500).astype(np.int64) % 200_000).astype(np.uint32),
            "price": np.round(rng.lognormal(3, 0.6, rows), 2),
            "quantity": rng.geometric(0.5, rows).astype(np.int32),
            "measure": np.round(np.cumsum(rng.standard_normal(rows)) * 0.1 + 20, 2),
            "country": pa.array(countries[rng.randint(0, 8, rows)]),
        }
    )


def _parquet(size: int, *, share: float, **options: Any) -> bytes:
    """A Parquet file of about *size* bytes; *share* is what its encodings leave of the table."""
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(table(int(size / share)), out, row_group_size=200_000, **options)
    return out.getvalue()[:size]


def _arrow(size: int) -> bytes:
    """An Arrow IPC file."""
    from pyarrow import ipc

    made, out = table(size), io.BytesIO()
    with ipc.new_file(out, made.schema) as writer:
        writer.write_table(made, max_chunksize=65_536)
    return out.getvalue()[:size]


def _sensor(size: int) -> bytes:
    """f64 readings with three decimals that drift slowly."""
    drift = np.cumsum(RandomState(_SEED).standard_normal(-(-size // 8))) * 0.02
    return np.round(20 + drift, 3).astype("<f8").tobytes()[:size]


def _walk(size: int) -> bytes:
    """An f64 random walk with all its digits."""
    return np.cumsum(RandomState(_SEED).standard_normal(-(-size // 8))).astype("<f8").tobytes()[:size]


def _weights(size: int) -> NDArray[np.float32]:
    """f32 weights of a trained layer: normal, deviation 0.02."""
    return (RandomState(_SEED).standard_normal(size) * 0.02).astype("<f4")


def _f32(size: int) -> bytes:
    return _weights(-(-size // 4)).tobytes()[:size]


def _bf16(size: int) -> bytes:
    """The same weights as bfloat16: the upper halves."""
    return (_weights(-(-size // 2)).view("<u4") >> np.uint32(16)).astype("<u2").tobytes()[:size]


_TONES: Final = ((11_000, 98), (7000, 147), (5000, 294), (2500, 587), (700, 1319))  # level, Hz


def _pcm(size: int) -> bytes:
    """Stereo sound, 16 bit: tones that swell, and noise."""
    count, rng = -(-size // 4), RandomState(_SEED)
    at = np.arange(count) / 44_100
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * at / 3)
    tone = sum(level * np.sin(2 * np.pi * pitch * at) for level, pitch in _TONES)
    both = [swell * tone * side + rng.standard_normal(count) * 40 for side in (1.0, 0.8)]
    return np.stack(both, axis=1).astype("<i2").tobytes()[:size]


def _rgb(size: int) -> bytes:
    """Rows of 2048 pixels, 24 bit: smooth shades and sensor noise."""
    width, rng = 2048, RandomState(_SEED)
    height = -(-size // (3 * width))
    y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    shade = 128 + 75 * np.sin(x / 70) * np.cos(y / 90) + 45 * np.sin((x + 2 * y) / 31)
    grain = rng.standard_normal((height, width)).astype(np.float32) * 2
    planes = [shade * tint + grain + rng.standard_normal((height, width)).astype(np.float32) for tint in (1, 0.9, 0.7)]
    pixels: NDArray[np.uint8] = np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)
    return pixels.tobytes()[:size]


def _records(size: int) -> bytes:
    """Records of 16 bytes: time u64 in us, id u32, reading f32."""
    return _packed(size, [("at", "<u8"), ("id", "<u4"), ("value", "<f4")])


def _records_packed(size: int) -> bytes:
    """Records of 21 bytes, without alignment: time u64, id u32, kind u8, two readings f32."""
    return _packed(size, [("at", "<u8"), ("id", "<u4"), ("kind", "u1"), ("value", "<f4"), ("other", "<f4")])


def _packed(size: int, fields: list[tuple[str, str]]) -> bytes:
    rng, dtype = RandomState(_SEED), np.dtype(fields)
    rows = np.empty(-(-size // dtype.itemsize), dtype)
    count = len(rows)
    rows["at"] = _START_S * 1_000_000 + np.cumsum(rng.randint(0, 2000, count))
    rows["id"] = rng.randint(0, 5000, count)
    rows["value"] = np.round(np.sin(np.arange(count) / 900) * 40 + rng.standard_normal(count), 2)
    if "kind" in (dtype.names or ()):
        rows["kind"] = rng.randint(0, 4, count)
        rows["other"] = np.round(rng.standard_normal(count) * 10, 1)
    return rows.tobytes()[:size]


def _mixed(size: int) -> bytes:
    """Fifths of logs, timestamps, sources, random bytes and readings, as in an archive of all sorts."""
    fifth, rng = -(-size // 5), RandomState(_SEED)
    times = _START_S * 10**9 + np.cumsum(10**6 + rng.randint(0, 256, -(-fifth // 8)))
    parts = (_json(fifth), times.astype("<i8").tobytes(), _source(fifth), rng.bytes(fifth), _sensor(fifth))
    return b"".join(part[:fifth] for part in parts)[:size]


def _gzip(size: int) -> bytes:
    """Logs that somebody compressed already."""
    return gzip.compress(_json(size * 7), 6, mtime=0)[:size]


def _gzip_tail(size: int) -> bytes:
    """The same without its beginning, which is how a later part of an upload looks."""
    return _gzip(size + 64 * 1024)[64 * 1024 :]


def _noise(size: int) -> bytes:
    return RandomState(_SEED).bytes(size)


def _parquet_builder(share: float, **options: Any) -> Callable[[int], bytes]:
    return lambda size: _parquet(size, share=share, **options)


PORTFOLIO: Final[Mapping[str, tuple[str, Callable[[int], bytes]]]] = {
    "json": ("JSON logs", _json),
    "csv": ("CSV", _csv),
    "nginx-real": ("access log, real-like", _nginx_real),
    "source": ("source tar", _source),
    "elf": ("ELF libraries", _elf),
    "sqlite": ("SQLite file", _sqlite),
    "parquet-plain": ("Parquet, plain", _parquet_builder(1.0, use_dictionary=False, compression="none")),
    "parquet-dictionary": ("Parquet, dictionary", _parquet_builder(0.6, use_dictionary=True, compression="none")),
    "parquet-snappy": ("Parquet, snappy", _parquet_builder(0.5, use_dictionary=True, compression="snappy")),
    "parquet-zstd": ("Parquet, zstd", _parquet_builder(0.3, use_dictionary=True, compression="zstd")),
    "arrow": ("Arrow IPC", _arrow),
    "f64-sensor": ("f64 sensor, 3 decimals", _sensor),
    "f64-walk": ("f64 random walk", _walk),
    "f32-weights": ("f32 weights", _f32),
    "bf16-weights": ("bf16 weights", _bf16),
    "pcm": ("PCM stereo, 16 bit", _pcm),
    "rgb": ("RGB image, raw", _rgb),
    "records-16": ("records of 16 B", _records),
    "records-21": ("records of 21 B, packed", _records_packed),
    "mixed": ("mixed object", _mixed),
    "gzip": ("gzip file", _gzip),
    "gzip-tail": ("gzip file, tail", _gzip_tail),
    "noise": ("random bytes", _noise),
}
"""Name -> title, and what makes so many bytes of it."""
