"""What docs/codecs.md claims of ratios holds, on sets of a few MiB: frames of 1 MiB, selection included, no hint."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from s4gw.settings import Settings
from s4gw.tools import bench_make
from s4gw.tools.bench_codecs import choose
from s4gw.tools.bench_data import SETS, make
from s4gw.tools.bench_measure import Measured, measure, measure_zstd3
from s4gw.tools.bench_published import best
from s4gw.wsgi import dispatcher

MIB = 1024**2
FLOORS = {"nginx": 700, "parquet-like": 1500, "postings": 20_000, "timestamps": 12_000, "doc_values": 2.25, "random": 1}


def ours(data: bytes) -> Measured:
    return measure(data, dispatcher(Settings()), frame_bytes=MIB)


@pytest.mark.parametrize("name", FLOORS)
def test_the_sets_of_s4(name: str) -> None:
    """Every ratio is above its floor and S4's best published one; as stored it beats that too."""
    measured, published = ours(make(name, 8 * MIB)), best(name)
    assert published is not None
    assert measured.ratio >= max(FLOORS[name], published.ratio)
    assert measured.stored_ratio >= published.ratio * 0.999


@pytest.mark.parametrize("name", [each.name for each in choose("honest")])
def test_honest_variants_reach_their_entropy(name: str) -> None:
    """At least 98 % of the best ratio that exists, and not more than that."""
    bound = SETS[name].bound
    assert bound is not None
    assert 0.98 <= ours(make(name, 4 * MIB)).ratio / bound <= 1.001


def test_the_portfolio_is_a_quarter_smaller_than_zstd_3() -> None:
    """Honest and real-like sets together, as stored, in the proportions of a full run."""
    pytest.importorskip("pyarrow")
    bodies = [make(each.name, each.size // 10) for each in choose("honest,real")]
    stored = sum(ours(body).stored_size for body in bodies)
    zstd3 = sum(measure_zstd3(body, frame_bytes=MIB).stored_size for body in bodies)
    assert stored * 1.25 <= zstd3


def test_usual_files_are_a_quarter_smaller_and_none_is_larger(tmp_path: Path) -> None:
    """Twelve formats: each at most as large as zstd 3 makes it, on average (geometric) 1.25 times smaller."""
    pytest.importorskip("pyarrow")
    gains = {}
    for path in bench_make.make(tmp_path, 4 * MIB):
        data = path.read_bytes()
        gains[path.name] = measure_zstd3(data, frame_bytes=MIB).stored_size / ours(data).stored_size
    assert {} == {name: gain for name, gain in gains.items() if gain < 1}
    assert math.prod(gains.values()) ** (1 / len(gains)) >= 1.25
