"""Tests of `s4gw gpu check`: what it finds without a GPU, and what it says where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from s4gw.tools import cli, gpu, gpu_check
from s4gw.tools.gpu_check import Figure, Outcome, Speed

SPEED = Speed(ratio=2.0, mb_per_s=100.0, cpu_s_per_gb=1.5)


def test_no_gpu_is_one_clear_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 3: nothing has been checked."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert 3 == cli.main(["gpu", "check", "--device", "99"])
    out, error = capfd.readouterr()
    (line,) = error.splitlines()
    assert ("", True) == (out, line.startswith("s4gw: gpu check: NOT RUN: "))


def test_the_whole_check_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Round trips of every codec, faults and figures, by the CPU engine; the report says that no GPU was there."""
    monkeypatch.setattr(gpu_check, "DATA", ("doc_values",))
    report = tmp_path / "report.md"
    assert 0 == cli.main(["gpu", "check", "--engine", "cpu", "--size", "1", "--rounds", "1", "--output", str(report)])
    text = report.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    checked = [row.split(" | ")[0].removeprefix("| ") for row in rows if " | ok | " in row]
    rounds = ["round trip cpu-zstd", "round trip cpu-gzip", "round trip typed"]
    assert [*rounds, "worker killed under load", "worker frozen under load", "ring full"] == checked
    assert ("**passed**" in text, "**Not run on a GPU:**" in text) == (True, True)
    assert 3 == sum(row.endswith("100% |") for row in rows)


def test_a_failure_is_not_overlooked() -> None:
    """The first line of the report names it."""
    outcomes = [Outcome("round trip cpu-zstd", True, "fine"), Outcome("ring full", False, "3 frames wrong")]
    figures = [Figure("json", "cpu-zstd", SPEED, SPEED, 0.5)]
    text = gpu.report("fake", outcomes, figures, on_gpu=True)
    assert "**FAILED: ring full** with engine `fake`" in text
    assert "| ring full | **FAILED** | 3 frames wrong |" in text
    assert "Not run on a GPU" not in text
    assert "| json | cpu-zstd | 2.00 | 2.00 | 100 | 100 | 1.00 | 1.50 | 1.50 | 50% |" in text


@pytest.mark.parametrize("flags", [["--size", "0"], ["--rounds", "0"], ["--device", "-1"]])
def test_what_cannot_be_meant(flags: list[str]) -> None:
    """Misuse is status 2."""
    assert 2 == cli.main(["gpu", "check", *flags])


def test_cuda_stays_out_of_this_process() -> None:
    """The command loads no CUDA: its worker does."""
    assert not {"cupy", "nvidia.nvcomp"} & set(sys.modules)
