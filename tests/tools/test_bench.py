"""Tests of ``s4gw bench codecs``: it measures what the gateway would store, and its table, CSV, JSON and plot agree."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.codec import SamplingDispatcher
from s4gw.objects import DigestPlan, Objects
from s4gw.settings import Settings
from s4gw.tools import bench_measure, cli
from s4gw.tools.bench import size
from s4gw.tools.bench_codecs import choose
from s4gw.tools.bench_data import make
from s4gw.tools.bench_measure import measure, measure_zstd3
from s4gw.tools.bench_published import PUBLISHED, best
from s4gw.tools.bench_report import Result, picture, table
from s4gw.wsgi import dispatcher
from tests.objects.bodies import BytesSource

MIB = 1024**2


def test_what_is_measured_is_what_the_gateway_stores() -> None:
    """The stored size is that of the object which a PUT of the same bytes makes, trailer included, unless it joins."""
    data = make("timestamps-honest", 3 * MIB + 5) + make("json", MIB)
    objects = Objects(MemoryBackend(), dispatcher(Settings()))
    objects.backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    written = objects.put("b", "k", BytesSource(data), meta=ObjectMeta(), plan=DigestPlan())
    objects.close()
    measured = measure(data, dispatcher(Settings()), frame_bytes=MIB)
    assert abs(written.stored_size - measured.stored_size) < 128


def test_bytes_that_come_back_different_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that loses a bit is found here as well, whatever its checksum says."""
    monkeypatch.setattr(bench_measure, "_decode", lambda _frame: b"wrong")
    with pytest.raises(AssertionError, match="came back different"):
        measure(b"right" * 100, SamplingDispatcher(), frame_bytes=MIB)


def test_frames_of_any_size() -> None:
    """Smaller frames are more frames: headers and trailer count, payloads are what they are."""
    data = make("json", 256 * 1024)
    one, many = (measure_zstd3(data, frame_bytes=frame) for frame in (256 * 1024, 16 * 1024))
    headers = (one.stored_size - one.payload_size, many.stored_size - many.payload_size)
    assert (28, True, True) == (headers[0], headers[1] > 16 * 28, one.ratio > many.ratio)


def test_codecs_are_named_with_their_shares() -> None:
    """Half incompressible, half not: both names, each with its share."""
    measured = measure(make("noise", 4 * MIB) + bytes(4 * MIB), SamplingDispatcher(), frame_bytes=MIB)
    names = dict(part.removesuffix(" %").rsplit(" ", 1) for part in measured.codec.split(", "))
    assert ("50", {"50"}) == (names.pop("passthrough"), set(names.values()))


def test_a_run_writes_table_csv_json_and_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same figures everywhere; S4's published rows beside ours, zstd 3 of the same run between them."""
    command = ["bench", "codecs", "--sets", "postings,noise", "--size", "256K", "--rounds", "1", "--out", str(tmp_path)]
    status = cli.main(command)
    shown = capsys.readouterr()
    rows = json.loads((tmp_path / "results.json").read_text())["results"]
    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    who = [(row["data"], row["by"], row["codec"]) for row in rows]
    bars = ET.parse(tmp_path / "ratios.svg").getroot().findall("{http://www.w3.org/2000/svg}rect")
    assert 0 == status
    assert [("postings", "S4", row.codec) for row in PUBLISHED["postings"]] == who[:4]
    assert [("noise", "zstd 3 here"), ("noise", "S4GW")] == [(data, by) for data, by, _ in who[-2:]]
    assert [str(row["ratio"]) for row in rows] == [line["ratio"] for line in lines]
    assert len(bars) == 1 + 3 + 2  # background, S4 and zstd 3 and ours, zstd 3 and ours
    assert "| postings u32 | S4 (published) | nvcomp-bitcomp | 11.93 | | 1.61 | 1.50 |" in shown.out
    assert "[2/2] noise: making it" in shown.err
    brief = (tmp_path / "summary.md").read_text()
    assert "| postings u32 | 11.93 (1.61 / 1.50) nvcomp-bitcomp | 1." in brief
    assert (tmp_path / "table.md").read_text().startswith("| data | by |")


def test_unknown_sets_are_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit status 2, before anything is made."""
    status = cli.main(["bench", "codecs", "--sets", "postings,nonsense"])
    assert (2, "s4gw bench: no data set or group is called nonsense; --list names them\n") == (
        status,
        capsys.readouterr().err,
    )


def test_groups_are_names_too() -> None:
    """--sets takes names and groups, in any mixture; every set of S4 has its published rows."""
    assert list(PUBLISHED) == [each.name for each in choose("s4")]
    assert ["random", "postings-honest", "timestamps-honest", "doc_values-honest"] == [
        each.name for each in choose("honest,random")
    ]


@pytest.mark.parametrize(("text", "expected"), [("1048576", MIB), ("64K", 65536), ("2m", 2 * MIB), ("1G", 1024**3)])
def test_sizes(text: str, expected: int) -> None:
    """Plain, or with a unit of 1024."""
    assert expected == size(text)


def test_the_report_names_bounds_and_sums() -> None:
    """Honest sets are held against their entropy; the sums leave S4's sets out."""
    data = make("noise", 65536)
    measured = measure_zstd3(data, frame_bytes=MIB)
    results = [Result("random", "s4", "already compressed", measured, measured, 1.0)]
    alone = table(results)
    both = table([*results, Result("noise", "real", "random <bytes>", measured, measured)])
    ET.fromstring(picture([Result("noise", "real", "random <bytes>", measured, measured)]))
    published = best("random")
    assert published is not None
    assert (1.0, "(100.0% of the bound)" in alone) == (published.ratio, True)
    assert ("together" in alone, "together, as stored: S4GW 1.000x" in both) == (False, True)
