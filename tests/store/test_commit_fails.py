"""An index commit that fails after the journal was flushed: refused, and void in an index made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from s4gw.store import NoSpace, Store
from s4gw.store.committer import Committer
from s4gw.store.rebuild import rebuild_index
from s4gw.store.recovery import prepare, recover
from tests.store.kit import check_references, contents, keys, make_bucket, put


def test_failed_commit_leaves_a_journal_that_counts_for_nothing(tmp_path: Path) -> None:
    """Its sequence numbers are used again, so it must not share a volume with what follows."""
    prepare(tmp_path)
    recover(tmp_path)
    committer = Committer(tmp_path)
    store = Store(tmp_path, committer=committer)
    make_bucket(store)
    put(store, "before", b"b" * 20_000)
    committer._connection.set_commit_hook(lambda: True)  # True turns the commit into a rollback
    with pytest.raises(NoSpace):
        put(store, "lost", b"l" * 20_000)
    committer._connection.set_commit_hook(None)
    put(store, "after", b"a" * 20_000)
    assert ["after", "before"] == keys(store)
    before = contents(tmp_path)
    store.close()
    committer.close()
    check_references(tmp_path)
    rebuild_index(tmp_path)
    assert before == contents(tmp_path)
