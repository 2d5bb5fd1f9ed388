"""Conditions: each write and delete is decided atomically, by what the client knows of the object."""

from __future__ import annotations

import threading

import pytest

from s4gw.backends import Backend, Conditions
from s4gw.s3.errors import NoSuchKey, PreconditionFailed, S3Error
from tests.backends.kit import delete, etag_of, get, keys, make_bucket, put

WRITES: list[tuple[bool, Conditions, type[S3Error] | None]] = [
    (False, Conditions(if_match="*"), NoSuchKey),
    (False, Conditions(if_match="bad"), NoSuchKey),
    (False, Conditions(if_none_match="*"), None),
    (False, Conditions(if_none_match="bad"), None),
    (True, Conditions(if_match="*"), None),
    (True, Conditions(if_match=etag_of(b"data")), None),
    (True, Conditions(if_match="bad"), PreconditionFailed),
    (True, Conditions(if_none_match="*"), PreconditionFailed),
    (True, Conditions(if_none_match=etag_of(b"data")), PreconditionFailed),
    (True, Conditions(if_none_match="bad"), None),
]


@pytest.mark.parametrize("after", ["nothing", "delete", "marker"])
def test_write_conditions(backend: Backend, after: str) -> None:
    """A key that was deleted, with or without a marker, is as missing as one that never was."""
    make_bucket(backend, versioning="Enabled" if after == "marker" else "")
    for number, (exists, conditions, error) in enumerate(WRITES):
        key = f"k{number}"
        if after != "nothing":
            put(backend, key)
            delete(backend, key)
        if exists:
            put(backend, key)
        outcome: type[S3Error] | None = None
        try:
            put(backend, key, b"new", conditions=conditions)
        except S3Error as caught:
            outcome = type(caught)
        assert error is outcome
        if exists or error is None:
            assert (b"new" if error is None else b"data") == get(backend, key)


def test_delete_conditions(backend: Backend) -> None:
    make_bucket(backend)
    modified_s = put(backend, "k").modified_ms // 1000
    misses = [
        Conditions(if_match="bad"),
        Conditions(if_size=5),
        Conditions(if_modified_s=1),
        Conditions(if_match=etag_of(b"data"), if_size=4, if_modified_s=modified_s + 1),
    ]
    assert [PreconditionFailed] * 4 == [type(delete(backend, "k", conditions=miss)) for miss in misses]
    assert ["k"] == keys(backend)
    delete(backend, "k", conditions=Conditions(if_match=etag_of(b"data"), if_size=4, if_modified_s=modified_s))
    assert [] == keys(backend)
    assert not isinstance(delete(backend, "k", conditions=Conditions(if_match="bad")), Exception)


def test_delete_conditions_meet_a_marker(backend: Backend) -> None:
    """A delete marker is there: "*" holds, an ETag or another size does not."""
    make_bucket(backend, versioning="Enabled")
    put(backend, "k")
    delete(backend, "k")
    for miss in (Conditions(if_match="bad"), Conditions(if_size=9999), Conditions(if_modified_s=1)):
        assert isinstance(delete(backend, "k", conditions=miss), PreconditionFailed)
    assert not isinstance(delete(backend, "k", conditions=Conditions(if_match="*")), Exception)


def test_one_winner_among_racing_creations(backend: Backend) -> None:
    make_bucket(backend)
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def race(number: int) -> None:
        start.wait()
        for round_number in range(5):
            try:
                put(backend, f"k{round_number}", b"%d" % number, conditions=Conditions(if_none_match="*"))
                outcomes.append("won")
            except PreconditionFailed:
                outcomes.append("lost")

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (5, 35) == (outcomes.count("won"), outcomes.count("lost"))


def test_no_update_is_lost_among_racing_if_match_writers(backend: Backend) -> None:
    make_bucket(backend)
    put(backend, "n", b"0")

    def count() -> None:
        done = 0
        while done < 5:
            value = int(get(backend, "n"))
            try:
                put(backend, "n", b"%d" % (value + 1), conditions=Conditions(if_match=etag_of(b"%d" % value)))
                done += 1
            except PreconditionFailed:
                continue

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert b"20" == get(backend, "n")
