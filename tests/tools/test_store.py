"""`s4gw store`: each action on a store that nobody serves, and exit statuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from s4gw.gateway.chores import chores
from s4gw.settings import Settings
from s4gw.store import Store
from s4gw.store.layout import volume_path
from s4gw.tools.cli import DAMAGE, FAILED, MISUSE, OK, main
from tests.store.kit import delete, keys, make_bucket, put

SMALL = 300_000


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    store = Store(tmp_path / "data", in_process=True, volume_bytes=SMALL)
    make_bucket(store)
    for number in range(30):
        put(store, f"k{number}", bytes([number]) * 50_000)
    for number in range(0, 30, 2):
        delete(store, f"k{number}")
    store.close()
    return tmp_path / "data"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = main(["store", *map(str, words)])
    return status, capsys.readouterr().out


def test_compact(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--data-dir", data_dir, "--full", "--grace-s", 0, "--json", "--volume-bytes", SMALL)
    planned = json.loads(run(capsys, "compact", *options, "--dry-run")[1])
    before = sum(path.stat().st_size for path in (data_dir / "volumes").iterdir())
    status, out = run(capsys, "compact", *options)
    done = json.loads(out)
    after = sum(path.stat().st_size for path in (data_dir / "volumes").iterdir())
    assert OK == status
    assert [use["volume"] for use in planned["volumes"]] == done["volumes"]
    assert after < 0.7 * before
    assert OK == run(capsys, "check", "--data-dir", data_dir, "--read")[0]
    assert "0 volumes given up" in run(capsys, "compact", "--data-dir", data_dir)[1]


def test_stats_scrub_and_check_name_damage(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "objects 15" in run(capsys, "stats", "--data-dir", data_dir)[1]
    assert 1.0 == json.loads(run(capsys, "stats", "--data-dir", data_dir, "--json")[1])["ratio"]
    assert OK == run(capsys, "scrub", "--data-dir", data_dir)[0]
    path = volume_path(data_dir, 2)
    data = bytearray(path.read_bytes())
    place = next(data.index(bytes([number]) * 1000) for number in range(1, 30, 2) if bytes([number]) * 1000 in data)
    data[place] ^= 1
    path.write_bytes(data)
    status, out = run(capsys, "scrub", "--data-dir", data_dir)
    assert (DAMAGE, True) == (status, "volume 2 offset" in out)
    assert DAMAGE == run(capsys, "check", "--data-dir", data_dir)[0]


def test_rebuild_index(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data_dir / "index.db").unlink()
    status, out = run(capsys, "rebuild-index", "--data-dir", data_dir)
    store = Store(data_dir, in_process=True)
    found = keys(store)
    served, _ = run(capsys, "rebuild-index", "--data-dir", data_dir)
    store.close()
    assert (OK, True, 15) == (status, "46 operations" in out, len(found))
    assert FAILED == served


def test_backup_and_restore(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert OK == run(capsys, "backup", "--data-dir", data_dir, tmp_path / "backup")[0]
    assert OK == run(capsys, "restore", "--data-dir", tmp_path / "new", tmp_path / "backup")[0]
    store = Store(tmp_path / "new", in_process=True)
    assert 15 == len(keys(store))
    store.close()
    assert MISUSE == run(capsys, "restore", "--data-dir", tmp_path / "new", tmp_path / "backup")[0]


def test_a_backup_into_the_data_directory(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Misuse, told in one line."""
    status = main(["store", "backup", "--data-dir", str(data_dir), str(data_dir / "backup")])
    told = capsys.readouterr()
    assert (MISUSE, "", 1) == (status, told.out, told.err.count("\n"))
    assert not (data_dir / "backup").exists()


def test_pause_resume_and_what_is_no_store(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert OK == run(capsys, "pause", "--data-dir", data_dir)[0]
    assert (data_dir / "upkeep.paused").exists()
    assert OK == run(capsys, "resume", "--data-dir", data_dir)[0]
    assert not (data_dir / "upkeep.paused").exists()
    for action in ("compact", "scrub", "check", "stats", "rebuild-index", "pause"):
        assert MISUSE == run(capsys, action, "--data-dir", tmp_path / "nothing")[0]
    assert not (tmp_path / "nothing").exists()


def test_what_a_gateway_has_done(tmp_path: Path) -> None:
    """The very command of the schedule, beside a storaged; it ends at once when the other end of its input goes."""
    store = Store(tmp_path / "data", volume_bytes=SMALL)
    make_bucket(store)
    put(store, "k", b"k" * 50_000)
    command = next(chore.command for chore in chores(Settings(data_dir=tmp_path / "data")) if "upkeep" in chore.command)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        status = process.wait(timeout=60)
    assert (OK, True) == (status, (tmp_path / "data" / "upkeep.daily").exists())
    (tmp_path / "data" / "upkeep.daily").unlink()
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, timeout=60).returncode
    store.close()
    assert (OK, False) == (ended, (tmp_path / "data" / "upkeep.daily").exists())
