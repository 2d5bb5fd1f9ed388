"""Tests of ``s4gw bench selection``: it studies each set and says what the choices are worth."""

from __future__ import annotations

import pytest

from s4gw.tools import bench_selection, cli
from s4gw.tools.bench_data import SETS


def test_a_study_of_three_sets(capsys: pytest.CaptureFixture[str]) -> None:
    """One row per set; the choice is nearly as small as the best single codec, or smaller."""
    sizes = ["--size", "600K", "--frame-bytes", "256K", "--rounds", "1"]
    assert cli.main(["bench", "selection", "--sets", "postings-honest,noise,csv", *sizes]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split(" | ")[0]: line.rstrip(" |").split(" | ") for line in lines if line.startswith("| ")}
    assert rows["| postings-honest"][4:] == ["0", "1.000", "typed pack u32"]
    assert rows["| noise"][4:] == ["0", "1.000", "passthrough"]
    assert float(rows["| csv"][5]) <= 1.02
    assert any(line.startswith("A cold choice: ") for line in lines)


def test_unknown_sets_are_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names what is not there."""
    assert cli.main(["bench", "selection", "--sets", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_segments_may_beat_every_single_codec() -> None:
    """The size beside the best single codec is then below one."""
    times = {"cold_ms": 1.0, "trusted_ms": 1.0, "whole_ms": 1.0}
    study = bench_selection.Study(name="x", choice="segments", again=0, chosen_size=90, best_size=100, **times)
    assert (0.9, True) == (study.share, "mixed" in SETS)
