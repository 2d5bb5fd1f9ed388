"""``s4gw quota``: sizes as people write them, and a bucket that takes no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from s4gw.backends import EmbeddedBackend
from s4gw.s3.errors import QuotaExceeded
from s4gw.settings import SettingsError
from s4gw.tools import cli
from s4gw.tools.quota import parse_size
from tests.backends.kit import BUCKET, make_bucket, put


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("12", 12),
        ("5K", 5000),
        ("5KB", 5000),
        ("5KiB", 5120),
        ("2 gib", 2 * 1024**3),
        ("1T", 10**12),
        ("none", None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert size == parse_size(text)


@pytest.mark.parametrize("text", ["", "-1", "5X", "1.5G", "much"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_size(text)


def test_a_quota_is_set_shown_and_kept_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backend = EmbeddedBackend(tmp_path / "data", in_process=True)
    make_bucket(backend)
    put(backend, "k", b"12345")
    backend.close()
    where = ["--data-dir", str(tmp_path / "data")]
    statuses = [cli.main(["quota", BUCKET, "1KiB", *where]), cli.main(["quota", "missing", "1", *where])]
    capsys.readouterr()
    statuses.append(cli.main(["quota", *where]))
    shown = capsys.readouterr().out.split()
    backend = EmbeddedBackend(tmp_path / "data", in_process=False)
    with pytest.raises(QuotaExceeded):
        put(backend, "large", bytes(range(256)) * 8)
    backend.close()
    assert ([0, 3, 0], [BUCKET, "1", "objects", "5", "bytes,", "quota", "1024"]) == (statuses, shown)


@pytest.mark.parametrize("command", ["quota b 1GiB", "quota", "lifecycle run", "lifecycle run --dry-run"])
def test_a_mistyped_path_does_not_become_a_data_directory(tmp_path: Path, command: str) -> None:
    status = cli.main([*command.split(), "--data-dir", str(tmp_path / "typo")])
    assert (2, False) == (status, (tmp_path / "typo").exists())
