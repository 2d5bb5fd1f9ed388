"""Every Python example of docs/library.md runs, one after another, as a reader would type them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from s4gw.tools import cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "library.md"


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """They share their names, from the first to the last, in an empty folder; `s4gw cat` reads what they leave."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for number, example in enumerate(examples):
        exec(compile(example, f"{PAGE.name} example {number}", "exec"), names)
    status = cli.main(["cat", "events.s4"])
    assert (0, names["original"]) == (status, capsysbinary.readouterr().out)
    assert (7, True) == (len(examples), (tmp_path / "copy.s4").exists())
