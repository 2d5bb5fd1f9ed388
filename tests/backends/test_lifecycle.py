"""Lifecycle passes over every backend that carries rules out, at any time of a virtual clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from s4gw.backends import BucketInfo, ObjectMeta
from s4gw.backends.lifecycle import Event, Expiry, Pass, Report
from s4gw.bucketconfig import Action, DefaultRetention, ObjectLock, dump_document
from s4gw.bucketconfig.lifecycle import parse_lifecycle
from s4gw.s3.errors import AccessDenied
from tests.backends.kit import BUCKET, NEAR, OWNER, Near, delete, keys, make_bucket, near, put, start_upload, versions

DAY_MS = 86_400_000


@pytest.fixture(params=NEAR)
def backend(request: pytest.FixtureRequest) -> Iterator[Near]:
    with near(request.param) as made:
        yield made


def set_rules(backend: Near, *rules: dict[str, Any]) -> None:
    common = {"Status": "Enabled", "Filter": {}}
    document = parse_lifecycle({"Rules": [common | rule for rule in rules]})
    backend.put_config(BUCKET, "lifecycle", dump_document(document))


def run(backend: Near, days: float, **options: Any) -> Report:
    """A pass so many days from now."""
    return Pass(backend, now_ms=int(time.time() * 1000 + days * DAY_MS), **options).run()


def test_objects_expire_when_their_days_are_over(backend: Near) -> None:
    """Not a day before the following midnight, and not what the filter leaves out."""
    make_bucket(backend)
    for key in ("logs/1", "logs/2", "keep"):
        put(backend, key)
    set_rules(backend, {"Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}})
    early, late, again = (run(backend, days) for days in (2.9, 4.1, 5))
    assert (0, 2, 0, 3) == (early.expired, late.expired, again.expired, late.examined)
    assert ["keep"] == keys(backend)


def test_a_dry_run_tells_and_does_nothing(backend: Near) -> None:
    make_bucket(backend)
    put(backend, "k")
    set_rules(backend, {"ID": "r", "Expiration": {"Days": 1}})
    told: list[Event] = []
    report = run(backend, 9, dry_run=True, tell=told.append)
    assert (1, [Event(BUCKET, "k", "null", "expire", "r")], ["k"]) == (report.expired, told, keys(backend))


def test_versions_are_hidden_then_removed_then_forgotten(backend: Near) -> None:
    """Expiry makes a marker; noncurrent versions go; the marker that is left alone goes too."""
    make_bucket(backend, versioning="Enabled")
    for _ in range(3):
        put(backend, "k")
    set_rules(
        backend,
        {"Expiration": {"Days": 10}},
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}},
    )
    first = run(backend, 5)
    after_first = len(versions(backend))
    second = run(backend, 20)
    hidden = versions(backend)
    set_rules(
        backend,
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Expiration": {"ExpiredObjectDeleteMarker": True}},
    )
    third, fourth = run(backend, 25), run(backend, 26)
    assert (1, 2, 1, [True, False, False][: len(hidden)]) == (
        first.removed,
        after_first,
        second.expired,
        [marker for *_, marker in hidden],
    )
    assert (2, 1, []) == (third.removed, third.markers_removed + fourth.markers_removed, versions(backend))


def test_tags_and_sizes_choose(backend: Near) -> None:
    make_bucket(backend)
    put(backend, "tagged", b"12345", meta=ObjectMeta(owner=OWNER, tags={"t": "1"}))
    put(backend, "large", b"1234567890")
    put(backend, "small", b"1")
    set_rules(
        backend,
        {"Filter": {"Tag": {"Key": "t", "Value": "1"}}, "Expiration": {"Days": 1}},
        {"Filter": {"ObjectSizeGreaterThan": 5}, "Expiration": {"Days": 1}},
    )
    run(backend, 3)
    assert ["small"] == keys(backend)


def test_uploads_in_progress_end(backend: Near) -> None:
    make_bucket(backend)
    start_upload(backend, "k")  # began in 1970
    set_rules(backend, {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
    dry = run(backend, 0, dry_run=True)
    report = run(backend, 0)
    assert (1, 1, []) == (dry.uploads_aborted, report.uploads_aborted, list(backend.list_uploads(BUCKET).uploads))


@pytest.mark.parametrize(
    "lock",
    [ObjectLock(hold=True), ObjectLock("GOVERNANCE", 4_000_000_000_000), ObjectLock("COMPLIANCE", 4_000_000_000_000)],
)
def test_locked_versions_stay(backend: Near, lock: ObjectLock) -> None:
    """A current one is hidden, as by a plain DELETE; a noncurrent one is not removed."""
    info = BucketInfo(name=BUCKET, owner=OWNER, created_ms=1, versioning="Enabled", object_lock=DefaultRetention())
    backend.create_bucket(info)
    old = put(backend, "k", meta=ObjectMeta(owner=OWNER, lock=lock))
    new = put(backend, "k", meta=ObjectMeta(owner=OWNER, lock=lock))
    put(backend, "free")
    set_rules(backend, {"Expiration": {"Days": 1}}, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    run(backend, 3)
    report = run(backend, 9)
    left = {(key, version) for key, version, _, marker in versions(backend) if not marker}
    assert ({("k", old.version_id), ("k", new.version_id)}, 2) == (left, report.kept)


def test_nothing_happens_to_what_has_changed_since(backend: Near) -> None:
    """Decisions are about one version in one place: whatever came between them and the commit wins."""
    make_bucket(backend, versioning="Enabled")
    old = put(backend, "k")
    new = put(backend, "k")
    delete(backend, "gone")
    marker = backend.head_object(BUCKET, "gone")
    put(backend, "gone")
    expiries = [
        Expiry(old, Action.EXPIRE),
        Expiry(new, Action.REMOVE),
        Expiry(new, Action.REMOVE_MARKER),
        Expiry(marker, Action.REMOVE_MARKER),
        Expiry(marker, Action.EXPIRE),
    ]
    assert ([False] * 5, 4) == (list(backend.expire(BUCKET, expiries)), len(versions(backend)))


def test_buckets_behind_a_second_factor_keep_their_versions(backend: Near) -> None:
    make_bucket(backend, versioning="Enabled")
    old = put(backend, "k")
    put(backend, "k")
    backend.set_versioning(BUCKET, "Enabled", mfa_delete="Enabled", mfa=True)
    outcome = backend.expire(BUCKET, [Expiry(old, Action.REMOVE)])[0]
    assert (True, 2) == (isinstance(outcome, AccessDenied), len(versions(backend)))


def test_a_pass_over_many_pages_can_be_stopped_and_taken_up(backend: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s4gw.backends.lifecycle.PAGE", 7)
    monkeypatch.setattr("s4gw.backends.lifecycle.BATCH", 5)
    make_bucket(backend)
    for number in range(30):
        put(backend, f"k{number:02}")
    set_rules(backend, {"Expiration": {"Days": 1}})
    stopped = run(backend, 3, stop=lambda: True)
    rest = run(backend, 3)
    assert (True, 5, 25, []) == (stopped.stopped, stopped.expired, rest.expired, keys(backend))
