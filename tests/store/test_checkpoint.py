"""The write-ahead log is moved into the index beside the commits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import msgspec
import pytest

from s4gw.store import committer as committing
from s4gw.store import ops
from s4gw.store.checkpoint import Checkpointer
from s4gw.store.committer import Committer
from s4gw.store.ops import Order, Request
from s4gw.store.recovery import prepare, recover
from s4gw.store.schema import open_writer
from tests.store.kit import BUCKET

WAIT_S = 30.0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_the_thread_moves_what_the_writer_has_committed(tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    writer = open_writer(index)
    writer.execute("INSERT INTO facts (document) VALUES (?)", (b"a document of these bytes",))
    before = b"a document of these bytes" in index.read_bytes()
    checkpointer = Checkpointer(index)
    begun = checkpointer.request(), checkpointer.request()
    wait_for(checkpointer.finished)
    after = b"a document of these bytes" in index.read_bytes()
    checkpointer.close()
    writer.close()
    assert ((True, False), False, True) == (begun, before, after)


def test_it_ends_also_when_told_so_during_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(apsw.Connection):
        def wal_checkpoint(self, *_: object, **__: object) -> tuple[int, int]:
            begun.set()
            go_on.wait()
            return 0, 0

    open_writer(tmp_path / "index.db").close()
    monkeypatch.setattr(apsw, "Connection", Slow)
    checkpointer = Checkpointer(tmp_path / "index.db")
    checkpointer.request()
    begun.wait()
    closing = threading.Thread(target=checkpointer.close, daemon=True)
    closing.start()
    wait_for(lambda: checkpointer._closing)
    go_on.set()
    closing.join(WAIT_S)
    assert not closing.is_alive()


def test_a_committer_leaves_the_bulk_of_the_log_to_the_thread(tmp_path: Path) -> None:
    """It asks once when the log is long, and does the rest itself: the log begins anew."""
    prepare(tmp_path)
    recover(tmp_path)
    committer = Committer(tmp_path, background=True)
    create = ops.CreateBucket(BUCKET, "o", 1, "r", "", {"cors": bytes(9_000_000)})
    committer.commit([Request([Order(msgspec.Raw(msgspec.msgpack.encode(create)))])])
    pages = committer._wal_pages
    index = tmp_path / "index.db"
    small = index.stat().st_size
    committer.checkpoint(idle=True)
    at_once = committer._wal_pages
    wait_for(lambda: index.stat().st_size > small)
    wait_for(lambda: bool(committer._background and committer._background._finished))
    committer.checkpoint(idle=True)
    left = committer._wal_pages
    committer.close()
    assert (True, pages, 0) == (pages > committing._WAL_SHORT_PAGES, at_once, left)
