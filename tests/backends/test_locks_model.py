"""Any history of writes, deletes, locks and lifecycle passes: no locked version is ever lost, and backends agree."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from s4gw.backends import BucketInfo, DeleteTarget, EmbeddedBackend, MemoryBackend, ObjectMeta, StoredObject, read_all
from s4gw.backends.lifecycle import Pass
from s4gw.bucketconfig import DefaultRetention, LockChange, ObjectLock, dump_document
from s4gw.bucketconfig.lifecycle import parse_lifecycle
from s4gw.s3.errors import S3Error
from tests.backends.kit import BUCKET, OWNER, complete, put, put_part, start_upload

FAR_MS = 4_000_000_000_000
DAY_MS = 86_400_000
KEYS = st.sampled_from(["a", "b", "c/1"])
LOCKS = st.sampled_from(
    [
        None,
        ObjectLock(hold=True),
        ObjectLock("GOVERNANCE", FAR_MS),
        ObjectLock("COMPLIANCE", FAR_MS),
        ObjectLock("COMPLIANCE", 1),
    ]
)
RETENTIONS = st.sampled_from([None, ("", 0), ("GOVERNANCE", 1), ("GOVERNANCE", FAR_MS), ("COMPLIANCE", FAR_MS + 1)])
RULES = {
    "Rules": [
        {"Status": "Enabled", "Filter": {"Prefix": "a"}, "Expiration": {"Days": 1}},
        {"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Status": "Enabled", "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
    ]
}


class History(RuleBasedStateMachine):
    """The same steps on the store and on the backend in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        store = EmbeddedBackend(Path(self.folder.name) / "data", in_process=True)
        self.both: tuple[MemoryBackend | EmbeddedBackend, ...] = (MemoryBackend(), store)
        self.count = 0
        self.versions: list[tuple[StoredObject, StoredObject]] = []
        self.kept: dict[int, bytes] = {}
        """Number of a version -> its bytes, for those that nobody may remove."""
        info = BucketInfo(name=BUCKET, owner=OWNER, created_ms=1, versioning="Enabled", object_lock=DefaultRetention())
        for backend in self.both:
            backend.create_bucket(info)
            backend.put_config(BUCKET, "lifecycle", dump_document(parse_lifecycle(RULES)))

    def teardown(self) -> None:
        for backend in self.both:
            backend.close()
        self.folder.cleanup()

    def everywhere(self, step: Any) -> list[Any]:
        """Do *step* to both; results or the classes of errors, which must be the same."""
        results: list[Any] = []
        for number, backend in enumerate(self.both):
            try:
                results.append(step(number, backend))
            except S3Error as error:
                results.append(error)
        assert type(results[0]) is type(results[1])
        return results

    def made(self, results: list[Any], data: bytes) -> None:
        if not isinstance(results[0], Exception):
            self.versions.append((results[0], results[1]))
            self.note(len(self.versions) - 1, data)

    def note(self, number: int, data: bytes | None = None) -> None:
        """Whether this version must stay from now on."""
        obj = self.versions[number][0]
        try:
            lock = self.both[0].head_object(BUCKET, obj.key, obj.version_id).meta.lock or ObjectLock()
        except S3Error:
            return
        if lock.hold or lock.until_ms >= FAR_MS:
            if number not in self.kept and data is not None:
                self.kept[number] = data
        else:
            self.kept.pop(number, None)

    @rule(key=KEYS, lock=LOCKS)
    def write(self, key: str, lock: ObjectLock | None) -> None:
        self.count += 1
        data, meta = b"v%d" % self.count, ObjectMeta(owner=OWNER, lock=lock)
        self.made(self.everywhere(lambda _, backend: put(backend, key, data, meta=meta)), data)

    @rule(key=KEYS)
    def upload(self, key: str) -> None:
        self.count += 1
        data, name = b"v%d" % self.count, f"u{self.count}"

        def step(_: int, backend: Any) -> Any:
            start_upload(backend, key, name)
            return complete(backend, key, name, [put_part(backend, key, name, 1, data)])

        self.made(self.everywhere(step), data)

    @rule(key=KEYS)
    def hide(self, key: str) -> None:
        self.everywhere(lambda _, backend: backend.delete_objects(BUCKET, [DeleteTarget(key=key)])[0])

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), bypass=st.booleans())
    def remove(self, data: st.DataObject, bypass: bool) -> None:
        number = data.draw(st.integers(0, len(self.versions) - 1))
        if bypass and self.lock_of(number).mode == "GOVERNANCE" and not self.lock_of(number).hold:
            self.kept.pop(number, None)

        def step(which: int, backend: Any) -> Any:
            obj = self.versions[number][which]
            target = DeleteTarget(key=obj.key, version_id=obj.version_id, bypass=bypass)
            return backend.delete_objects(BUCKET, [target])[0]

        self.everywhere(step)

    def lock_of(self, number: int) -> ObjectLock:
        obj = self.versions[number][0]
        try:
            return self.both[0].head_object(BUCKET, obj.key, obj.version_id).meta.lock or ObjectLock()
        except S3Error:
            return ObjectLock()

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), retention=RETENTIONS, hold=st.none() | st.booleans(), bypass=st.booleans())
    def change(self, data: st.DataObject, retention: Any, hold: bool | None, bypass: bool) -> None:
        number = data.draw(st.integers(0, len(self.versions) - 1))
        change = LockChange(retention=retention, hold=hold, bypass=bypass)
        self.everywhere(lambda which, backend: backend.set_lock(BUCKET, self.versions[number][which], change))
        self.note(number, None)

    @rule(key=KEYS, new=KEYS)
    def rename(self, key: str, new: str) -> None:
        self.everywhere(lambda _, backend: backend.rename_object(BUCKET, key, new))

    @precondition(lambda self: self.versions)
    @rule(data=st.data(), key=KEYS)
    def copy(self, data: st.DataObject, key: str) -> None:
        number = data.draw(st.integers(0, len(self.versions) - 1))
        meta = ObjectMeta(owner=OWNER)
        self.everywhere(
            lambda which, backend: backend.copy_object(self.versions[number][which], BUCKET, BUCKET, key, meta=meta)
        )

    @rule(state=st.sampled_from(["Suspended", ""]))
    def suspend(self, state: Any) -> None:
        self.everywhere(lambda _, backend: backend.set_versioning(BUCKET, state))

    @rule(default=st.sampled_from([DefaultRetention(), DefaultRetention("GOVERNANCE", years=90)]))
    def set_default(self, default: DefaultRetention) -> None:
        self.everywhere(lambda _, backend: backend.put_object_lock(BUCKET, default))

    @rule()
    def years_later(self) -> None:
        now_ms = int(time.time() * 1000) + 400 * DAY_MS
        self.everywhere(lambda _, backend: Pass(backend, now_ms=now_ms).run())

    @invariant()
    def nothing_that_is_kept_is_lost(self) -> None:
        for number, data in self.kept.items():
            for backend, obj in zip(self.both, self.versions[number], strict=True):
                found = backend.head_object(BUCKET, obj.key, obj.version_id)
                assert data == b"".join(read_all(backend, found, 1024))

    @invariant()
    def backends_agree(self) -> None:
        pages = [backend.list_versions(BUCKET).objects for backend in self.both]
        shown = [[(o.key, o.is_latest, o.delete_marker, o.size, o.etag) for o in page] for page in pages]
        assert shown[0] == shown[1]


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
