"""What aws-cli uploads in parts is stored as small as the library makes it of the whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from s4gw.settings import Settings
from s4gw.tools.bench_data import make
from s4gw.tools.bench_measure import measure
from s4gw.wsgi import dispatcher
from tests.live.gateway import Gateway

MIB: Final = 1024**2
LOSS_MAX: Final = 0.02


@pytest.mark.clients
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("nginx", ()),
        ("timestamps", ("--checksum-algorithm", "CRC64NVME")),
        ("postings", ("--checksum-algorithm", "SHA256")),
    ],
)
def test_parts_cost_no_ratio(
    gateway: Gateway, bucket: str, command: Callable[..., str], tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """Two parts of 8 MiB, as `aws s3 cp` makes them, against one body: at most 2 % of stored bytes more, all told."""
    data = make(name, 16 * MIB)
    (tmp_path / "set").write_bytes(data)
    command("aws", "s3", "cp", "--quiet", *options, tmp_path / "set", f"s3://{bucket}/{name}")
    shown = command("s4gw", "inspect", "--json", f"s3://{bucket}/{name}", "--data-dir", gateway.folder / "data")
    report = json.loads(shown)
    sent = sum(frame["stored_size"] for frame in report["frames"]) + report["trailer"]["stored_size"]
    alone = measure(data, dispatcher(Settings()), frame_bytes=MIB).stored_size
    parts = len(report["trailer"]["manifest"]["parts"])
    assert (2, len(data), True) == (parts, report["original_size"], sent <= alone * (1 + LOSS_MAX))
