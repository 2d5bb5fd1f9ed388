"""The catalogue tells only what it was told of this very object, and survives whatever happens to its file."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4gw.backends.remote import catalogue as module
from s4gw.backends.remote.catalogue import AS_LISTED, Catalogue, Seen, Told

SEEN = Seen("k", "e1", 100, 1_700_000_000)
TOLD = Told(5000, "original", ("CRC32",), "FULL_OBJECT")


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "catalogue")


def test_what_was_remembered_is_told(catalogue: Catalogue) -> None:
    plain = Seen("plain", "e", 10, 1)
    catalogue.remember("b", [(SEEN, TOLD), (plain, AS_LISTED)])
    assert [TOLD, AS_LISTED, None] == catalogue.look_up("b", [SEEN, plain, Seen("new", "e", 1, 1)])
    assert [None] == catalogue.look_up("other", [SEEN])


@pytest.mark.parametrize(
    "changed",
    [Seen("k", "e2", 100, 1_700_000_000), Seen("k", "e1", 101, 1_700_000_000), Seen("k", "e1", 100, 1_700_000_001)],
)
def test_another_object_is_not_told(catalogue: Catalogue, changed: Seen) -> None:
    catalogue.remember("b", [(SEEN, TOLD)])
    assert [None] == catalogue.look_up("b", [changed])


def test_row_of_a_write_is_bound_to_the_first_time_that_is_listed(catalogue: Catalogue) -> None:
    catalogue.remember("b", [(Seen("k", "e1", 100, 0), TOLD)])
    assert [TOLD] == catalogue.look_up("b", [SEEN])
    assert [None] == catalogue.look_up("b", [Seen("k", "e1", 100, SEEN.modified_s + 1)])


def test_same_bytes_written_again_are_known_at_their_new_time(catalogue: Catalogue) -> None:
    catalogue.remember("b", [(SEEN, TOLD)])
    catalogue.remember("b", [(Seen("k", "e1", 100, 0), TOLD)])
    assert [TOLD] == catalogue.look_up("b", [Seen("k", "e1", 100, SEEN.modified_s + 9)])


def test_rows_that_say_the_same_are_not_written_again(catalogue: Catalogue, tmp_path: Path) -> None:
    catalogue.remember("b", [(SEEN, TOLD)])
    link = apsw.Connection(str(tmp_path / "catalogue"))
    before = link.pragma("data_version")
    catalogue.remember("b", [(SEEN, TOLD)])
    assert before == link.pragma("data_version")
    catalogue.remember("b", [(SEEN, AS_LISTED)])
    assert before != link.pragma("data_version")
    link.close()


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.text(), unique=True, max_size=30))
def test_any_key(names: list[str]) -> None:
    catalogue = Catalogue(":memory:")
    seen = [Seen(name, "e", number, 1) for number, name in enumerate(names)]
    catalogue.remember("b", [(one, Told(one.stored_size + 1, one.key)) for one in seen])
    assert [Told(number + 1, name) for number, name in enumerate(names)] == catalogue.look_up("b", seen)
    catalogue.close()


def test_oldest_rows_go_first(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "catalogue", rows_max=100)
    seen = [Seen(f"{number}", "e", 1, 1) for number in range(1000)]
    for one in seen:
        catalogue.remember("b", [(one, TOLD)])
    known = catalogue.look_up("b", seen)
    assert 100 <= sum(told is not None for told in known) <= 200
    assert None not in known[-100:]


@pytest.mark.parametrize("damage", ["text", "header", "page", "schema", "gone"])
def test_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "catalogue"
    first = Catalogue(path)
    first.remember("b", [(Seen(f"{number}", "e", 1, 1), TOLD) for number in range(2000)])
    first.close()
    data = bytearray(path.read_bytes())
    if damage == "text":
        data = bytearray(b"not a database")
    elif damage == "header":
        data[:20] = bytes(20)
    elif damage == "page":
        data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    if damage == "schema":
        link = apsw.Connection(str(path))
        link.execute("DROP TABLE object")
        link.close()
    elif damage == "gone":
        path.unlink()
    second = Catalogue(path)
    for _ in range(3):
        second.remember("b", [(SEEN, TOLD)])
    assert [TOLD] == second.look_up("b", [SEEN])


def test_folder_that_cannot_be_written_costs_nothing_but_memory(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "missing" / "catalogue")
    catalogue.remember("b", [(SEEN, TOLD)])
    assert [None] == catalogue.look_up("b", [SEEN])


def test_threads_and_processes_share_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each opens the file for itself; all rows are there at the end, since nobody is busy for a minute."""
    monkeypatch.setattr(module, "_BUSY_MS", 60_000)

    def fill(first: int) -> None:
        mine = Catalogue(tmp_path / "catalogue")  # as another process does
        for number in range(first, first + 50):
            mine.remember("b", [(Seen(f"{number}", "e", 1, 1), TOLD)])
            shared.remember("b", [(Seen(f"{number}", "f", 1, 1), TOLD)])
        mine.close()
        shared.close()

    shared = Catalogue(tmp_path / "catalogue")
    threads = [threading.Thread(target=fill, args=(first,)) for first in range(0, 200, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for etag in "ef":
        assert [TOLD] * 200 == shared.look_up("b", [Seen(f"{number}", etag, 1, 1) for number in range(200)])


def test_busy_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BUSY_MS", 1)
    catalogue = Catalogue(tmp_path / "catalogue")
    catalogue.remember("b", [(SEEN, TOLD)])
    link = apsw.Connection(str(tmp_path / "catalogue"))
    link.execute("BEGIN IMMEDIATE")
    catalogue.remember("b", [(Seen("other", "e", 1, 1), TOLD)])
    assert [TOLD] == catalogue.look_up("b", [SEEN])
    link.execute("ROLLBACK")
    link.close()


def test_what_waits_is_known_here_at_once_and_elsewhere_after_a_tick(catalogue: Catalogue, tmp_path: Path) -> None:
    elsewhere = Catalogue(tmp_path / "catalogue")
    catalogue.note("b", Seen("at once", "e", 1, 1), TOLD)
    catalogue.tick()
    catalogue.note("b", SEEN, TOLD)
    catalogue.note("other", SEEN, AS_LISTED)
    waiting = elsewhere.look_up("b", [SEEN])
    catalogue.tick()
    assert ([None], [TOLD], [AS_LISTED]) == (
        waiting,
        elsewhere.look_up("b", [SEEN]),
        elsewhere.look_up("other", [SEEN]),
    )
    catalogue.note("b", Seen("new", "e", 1, 1), TOLD)
    assert [TOLD, TOLD] == catalogue.look_up("b", [Seen("new", "e", 1, 1), Seen("at once", "e", 1, 1)])


def test_only_so_much_waits(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITING_MAX", 10)
    catalogue.tick()
    seen = [Seen(f"{number}", "e", 1, 1) for number in range(25)]
    for one in seen:
        catalogue.note("b", one, TOLD)
    assert 20 == sum(told is not None for told in Catalogue(tmp_path / "catalogue").look_up("b", seen))
