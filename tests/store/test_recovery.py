"""Opening a data directory: whatever the last stop left behind, committed things are there and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import apsw
import pytest

from s4gw.store import DataDirError, RecordDamaged, Store, StoreLocked, Unavailable, ops
from s4gw.store.layout import volume_path
from s4gw.store.rebuild import rebuild_index
from s4gw.store.recovery import prepare
from s4gw.store.schema import check_sqlite, open_writer
from s4gw.store.volume import create_volume
from s4gw.store.volume_ops import VolumeTurn
from tests.store.kit import BUCKET, check_references, contents, delete, get, keys, make_bucket, put
from tests.store.upkeep_kit import SNAPSHOT, compact


def open_store(data_dir: Path) -> Store:
    return Store(data_dir, in_process=True)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    store = open_store(tmp_path / "data")
    make_bucket(store)
    put(store, "kept", b"k" * 10_000)
    store.close()
    return tmp_path / "data"


def newest(data_dir: Path) -> Path:
    return max((data_dir / "volumes").iterdir())


@pytest.mark.parametrize("tail", [b"\0", b"x" * 5000, None])
def test_tail_behind_the_committed_end_is_left_and_a_new_volume_begins(data_dir: Path, tail: bytes | None) -> None:
    """None repeats the journal record: bytes that would pass every check."""
    path = newest(data_dir)
    with path.open("ab") as file:
        file.write(path.read_bytes()[-200:] if tail is None else tail)
    store = open_store(data_dir)
    put(store, "new", b"n" * 10_000)
    assert (["kept", "new"], b"k" * 10_000, b"n" * 10_000) == (keys(store), get(store, "kept"), get(store, "new"))
    store.close()
    assert volume_path(data_dir, 2) == newest(data_dir)
    check_references(data_dir)


def test_clean_stop_goes_on_in_the_same_volume(data_dir: Path) -> None:
    store = open_store(data_dir)
    put(store, "new")
    store.close()
    assert volume_path(data_dir, 1) == newest(data_dir)


def test_volume_made_just_before_a_crash_is_never_written_to_by_mistake(data_dir: Path) -> None:
    create_volume(data_dir, 2, contents(data_dir)["state"][0][0])
    volume_path(data_dir, 3).touch(mode=0o600)
    store = open_store(data_dir)
    put(store, "new")
    before = contents(data_dir)
    store.close()
    assert volume_path(data_dir, 4) == newest(data_dir)
    rebuild_index(data_dir)
    assert before == contents(data_dir)


def put_index_back(data_dir: Path, saved: Path) -> None:
    """The index as it was when *saved* was made: what a power cut leaves of commits that nobody has flushed."""
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (data_dir / name).unlink(missing_ok=True)
        if (saved / name).exists():
            shutil.copy(saved / name, data_dir / name)


def test_commits_that_the_index_lost_are_applied_again(data_dir: Path, tmp_path: Path) -> None:
    """Their journal has been flushed, so they are there for ever, whatever kind of operation they were."""
    saved = tmp_path / "saved"
    shutil.copytree(data_dir, saved)
    store = open_store(data_dir)
    put(store, "lost", b"l" * 10_000)
    put(store, "small", b"s")
    make_bucket(store, "another")
    delete(store, "kept")
    expected = contents(data_dir)
    store.close()
    put_index_back(data_dir, saved)

    store = open_store(data_dir)
    assert expected == contents(data_dir)
    put(store, "new")
    assert (["lost", "new", "small"], b"l" * 10_000) == (keys(store), get(store, "lost"))
    before = contents(data_dir)
    store.close()
    check_references(data_dir)
    rebuild_index(data_dir)
    assert before == contents(data_dir)


def test_an_older_index_is_brought_up_over_all_later_volumes(data_dir: Path, tmp_path: Path) -> None:
    """As after restoring a backup whose volumes are newer than its index."""
    saved = tmp_path / "saved"
    shutil.copytree(data_dir, saved)
    store = Store(data_dir, in_process=True, volume_bytes=15_000)
    for number in range(5):
        put(store, f"k{number}", b"k" * 10_000)
    assert 4 <= int(newest(data_dir).stem)
    expected = contents(data_dir)
    store.close()
    put_index_back(data_dir, saved)

    store = open_store(data_dir)
    assert (expected, b"k" * 10_000) == (contents(data_dir), get(store, "k4"))
    put(store, "new")
    before = contents(data_dir)
    store.close()
    rebuild_index(data_dir)
    assert before == contents(data_dir)


def test_a_last_batch_whose_bytes_are_torn_is_void_for_ever(data_dir: Path, tmp_path: Path) -> None:
    """The journal reached the disk and the body did not, so it was never acknowledged."""
    saved = tmp_path / "saved"
    shutil.copytree(data_dir, saved)
    store = open_store(data_dir)
    place = newest(data_dir).stat().st_size
    put(store, "torn", b"t" * 10_000)
    store.close()
    put_index_back(data_dir, saved)
    with newest(data_dir).open("r+b") as file:
        file.seek(place + 5_000)
        file.write(b"\0" * 512)

    store = open_store(data_dir)
    put(store, "new")
    assert ["kept", "new"] == keys(store)
    before = contents(data_dir)
    store.close()
    rebuild_index(data_dir)
    assert before == contents(data_dir)


def test_damage_before_a_later_batch_is_not_taken_for_a_torn_end(data_dir: Path, tmp_path: Path) -> None:
    """What was acknowledged is never left out in silence."""
    saved = tmp_path / "saved"
    shutil.copytree(data_dir, saved)
    store = open_store(data_dir)
    place = newest(data_dir).stat().st_size
    put(store, "damaged", b"d" * 10_000)
    put(store, "later", b"l" * 10_000)
    store.close()
    put_index_back(data_dir, saved)
    with newest(data_dir).open("r+b") as file:
        file.seek(place + 5_000)
        file.write(b"\0" * 512)
    with pytest.raises(DataDirError, match="rebuild"):
        open_store(data_dir)

    rebuild_index(data_dir)
    store = open_store(data_dir)
    assert ["damaged", "kept", "later"] == keys(store)
    with pytest.raises(RecordDamaged):
        get(store, "damaged")
    store.close()


def test_lost_index_is_not_mistaken_for_an_empty_store(data_dir: Path) -> None:
    (data_dir / "index.db").unlink()
    with pytest.raises(DataDirError, match="rebuild"):
        open_store(data_dir)
    rebuild_index(data_dir)
    store = open_store(data_dir)
    assert (["kept"], b"k" * 10_000) == (keys(store), get(store, "kept"))
    store.close()


def test_missing_volume_is_said(data_dir: Path) -> None:
    newest(data_dir).unlink()
    with pytest.raises(DataDirError, match="missing"):
        open_store(data_dir)


def test_foreign_directories_and_versions_are_refused(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "FORMAT").write_text("s4gw store 2\n")
    with pytest.raises(DataDirError, match="s4gw store 2"):
        prepare(data_dir)
    (data_dir / "FORMAT").unlink()
    with pytest.raises(DataDirError, match="FORMAT"):
        prepare(data_dir)
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError):
        prepare(tmp_path / "file")


def test_index_of_another_schema_is_refused(data_dir: Path) -> None:
    connection = open_writer(data_dir / "index.db")
    connection.execute("UPDATE state SET schema = 9")
    connection.close()
    with pytest.raises(DataDirError, match="schema 9"):
        open_store(data_dir)


def test_an_index_of_another_schema_is_made_anew_from_a_snapshot_of_it(data_dir: Path) -> None:
    store = open_store(data_dir)
    connection = apsw.Connection(str(data_dir / "index.db"))
    connection.execute("UPDATE state SET schema = 2")
    connection.close()
    store.submit(VolumeTurn())
    compact(store, SNAPSHOT)
    store.close()
    with pytest.raises(DataDirError, match="rebuild-index"):
        open_store(data_dir)
    rebuilt = rebuild_index(data_dir)
    store = open_store(data_dir)
    found = get(store, "kept")
    store.close()
    assert (True, True, b"k" * 10_000) == (rebuilt.whole, rebuilt.snapshot_seq > 0, found)


def test_old_sqlite_is_refused() -> None:
    check_sqlite("3.51.3")
    with pytest.raises(DataDirError, match=r"3\.51\.3"):
        check_sqlite("3.50.4")


def test_one_committer_for_each_directory(data_dir: Path) -> None:
    store = open_store(data_dir)
    with pytest.raises(StoreLocked):
        open_store(data_dir)
    store.close()
    open_store(data_dir).close()


def test_everything_is_private(data_dir: Path) -> None:
    store = open_store(data_dir)
    put(store, "k")
    modes = {path.name: path.stat().st_mode & 0o077 for path in (data_dir, *data_dir.rglob("*"))}
    store.close()
    assert {} == {name: mode for name, mode in modes.items() if mode}


def test_read_only_reads_without_a_committer_and_refuses_writes(data_dir: Path) -> None:
    store = Store(data_dir, read_only=True)
    assert b"k" * 10_000 == get(store, "kept")
    with pytest.raises(Unavailable):
        store.submit(ops.DeleteBucket(BUCKET))
    store.close()


def test_a_forked_process_opens_its_own(data_dir: Path) -> None:
    store = Store(data_dir, read_only=True)
    get(store, "kept")
    child = os.fork()
    if not child:
        os._exit(0 if get(store, "kept") == b"k" * 10_000 else 1)
    status = os.waitpid(child, 0)[1]
    assert (0, b"k" * 10_000) == (status, get(store, "kept"))
    store.close()


def test_rebuilding_survives_a_damaged_record(data_dir: Path) -> None:
    store = open_store(data_dir)
    put(store, "damaged", b"d" * 10_000)
    place = newest(data_dir).stat().st_size
    put(store, "later", b"l" * 10_000)
    store.close()
    with newest(data_dir).open("r+b") as file:
        file.seek(place + 100)
        file.write(b"\xff" * 20)
    rebuild_index(data_dir)
    store = open_store(data_dir)
    assert ["damaged", "kept", "later"] == keys(store)
    assert b"d" * 10_000 == get(store, "damaged")
    store.close()
