"""What S4 (Rust) wrote reads back through us, ranges included, and what we write walks cleanly under its reader."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from s4gw.backends import BucketInfo, MemoryBackend, ObjectMeta
from s4gw.backends.bodies import ObjectChanged
from s4gw.backends.remote import Upstream
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.codec import AlwaysDispatcher, Choice, CodecId, SamplingDispatcher
from s4gw.objects import DamagedObject, DigestPlan, Objects
from s4gw.s3.errors import InternalError, InvalidRequest
from tests.backends.remote import s4_objects as s4
from tests.objects.bodies import BytesSource, mixed

BUCKET = "bucket"
MIB = 1024 * 1024
TEXT = b"".join(b"10.0.%d.%d - GET /index/%d HTTP/1.1 200\n" % (n % 7, n % 251, n) for n in range(40_000))
PARTS = [mixed(5 * MIB, seed=3), TEXT, mixed(6 * MIB, seed=4), b"the end"]
EVENTS: list[bytes | bytearray | memoryview] = [
    b'{"user": "u%d", "event": "click", "page": "/p/%d"}' % (n, n % 9) for n in range(2000)
]
DICTIONARY = zstandard.train_dictionary(4096, EVENTS).as_bytes()

FORMS: dict[str, s4.S4Object] = {
    "single, one frame": s4.single(TEXT[:300_000], chunk=MIB),
    "single, frames": s4.single(TEXT, chunk=256 * 1024),
    "single, frames of gzip": s4.single(TEXT, chunk=256 * 1024, codec=s4.CPU_GZIP),
    "single, empty": s4.single(b"", chunk=MIB),
    "single, dictionary": s4.single(b"".join(EVENTS[:40]), chunk=MIB, codec=s4.CPU_ZSTD_DICT, dictionary=DICTIONARY),
    "multipart": s4.multipart(PARTS),
    "multipart, never stamped": s4.multipart(PARTS, stamped=False),
    "raw gzip": s4.raw(TEXT, s4.CPU_GZIP),
    "raw zstd of 0.1": s4.raw(TEXT, s4.CPU_ZSTD, frames=3),
    "raw passthrough": s4.raw(mixed(2 * MIB), s4.PASSTHROUGH),
}


@pytest.fixture
def backend(upstream: Upstream) -> Iterator[RemoteBackend]:
    made = RemoteBackend(upstream, owner="o")
    made.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    yield made
    made.pools.close()


def leave(upstream: Upstream, obj: s4.S4Object, sidecar: int | None = None, *, key: str = "k") -> str:
    """Put what S4 leaves behind. Returns: the upstream's ETag."""
    etag = str(upstream.call("PutObject", Bucket=BUCKET, Key=key, Body=obj.body, Metadata=obj.metadata)["ETag"])
    for name, body in obj.beside.items():
        upstream.call("PutObject", Bucket=BUCKET, Key=name, Body=body)
    if sidecar is not None:
        data = obj.sidecar(sidecar, etag.strip('"'))
        upstream.call("PutObject", Bucket=BUCKET, Key=f"{key}.s4index", Body=data)
    return etag.strip('"')


def read(objects: Objects, start: int = 0, end: int | None = None) -> bytes:
    """Read as the gateway does: what has changed since it was remembered is looked at again."""
    obj = objects.backend.open_object(BUCKET, "k")
    try:
        return b"".join(objects.read(BUCKET, obj, start, obj.size if end is None else end))
    except ObjectChanged:
        obj = objects.backend.head_object(BUCKET, "k")
        return b"".join(objects.read(BUCKET, obj, start, obj.size if end is None else end))


def check_ranges(objects: Objects, original: bytes) -> None:
    rng = random.Random(len(original))
    for _ in range(12):
        start = rng.randrange(len(original) + 1)
        end = min(len(original), start + rng.choice([1, 1000, 70_000, 2 * MIB, len(original)]))
        assert original[start:end] == read(objects, start, end)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sidecar", [None, 2])
def test_objects_of_s4_read_back(upstream: Upstream, objects: Objects, form: str, sidecar: int | None) -> None:
    """Whole and in ranges, with the sidecar that S4 writes beside several frames and without it."""
    made = FORMS[form]
    if sidecar is not None and len(made.entries) < 2:
        pytest.skip("S4 writes no sidecar for fewer than two frames")
    etag = leave(upstream, made, sidecar)
    found = objects.backend.head_object(BUCKET, "k")
    assert (len(made.original), made.metadata.get("s4-logical-etag", etag), {}) == (
        found.size,
        found.etag,
        found.meta.metadata,
    )
    assert made.original == read(objects)
    check_ranges(objects, made.original)
    parts = [len(part) for part in PARTS] if form.startswith("multipart") else []
    assert parts == [part.original_size for part in objects.parts(BUCKET, found)]


@pytest.mark.parametrize("version", [1, 3])
def test_sidecars_that_cannot_be_relied_on_are_not(upstream: Upstream, objects: Objects, version: int) -> None:
    """Version 1 does not say whose it is, version 3 describes an envelope that is not there: the headers are walked."""
    made = FORMS["multipart"]
    leave(upstream, made, version)
    check_ranges(objects, made.original)


def test_a_stale_sidecar_changes_nothing(upstream: Upstream, objects: Objects) -> None:
    """S4 leaves the sidecar of before when an object is overwritten; its ETag gives it away."""
    leave(upstream, FORMS["multipart"], 2)
    made = FORMS["single, frames"]
    leave(upstream, made)
    assert made.original == read(objects)


def test_a_wrong_sidecar_refuses_and_never_lies(upstream: Upstream, objects: Objects) -> None:
    """An index that is bound to the object and wrong all the same: each frame still says what it is."""
    made = FORMS["single, frames"]
    etag = leave(upstream, made)
    first, second, *rest = made.entries
    merged = (0, first[1] + second[1], 0, first[3] + second[3])
    wrong = s4.S4Object(made.body, made.metadata, [merged, *rest], made.original)
    upstream.call("PutObject", Bucket=BUCKET, Key="k.s4index", Body=wrong.sidecar(2, etag))
    with pytest.raises(DamagedObject):
        read(objects)


def test_a_range_with_a_sidecar_is_few_requests(upstream: Upstream, backend: RemoteBackend, objects: Objects) -> None:
    """Look, sidecar, frames: three the first time, one after that."""
    made = FORMS["multipart"]
    leave(upstream, made, 2)
    counts = []
    calls: list[str] = []
    upstream._observer = lambda answered: calls.append(answered.operation)
    for start in (6 * MIB, 5 * MIB + 1, 100):
        calls.clear()
        assert made.original[start : start + 10] == read(objects, start, start + 10)
        counts.append(len(calls))
    assert [3, 1, 1] == counts


@pytest.mark.parametrize("position", [30, 100_000, -20])
def test_a_flipped_byte_of_s4s_is_refused(upstream: Upstream, objects: Objects, position: int) -> None:
    """Damage in a body that S4 wrote is never served."""
    made = FORMS["single, frames"]
    body = bytearray(made.body)
    body[position] ^= 1
    leave(upstream, s4.S4Object(bytes(body), made.metadata, made.entries, made.original))
    with pytest.raises((DamagedObject, InternalError)):
        read(objects)


@pytest.mark.parametrize("form", ["raw gzip", "raw passthrough"])
def test_a_flipped_byte_of_an_unframed_body_is_refused(upstream: Upstream, objects: Objects, form: str) -> None:
    """The checksum of the whole is in the metadata."""
    made = FORMS[form]
    body = bytearray(made.body)
    body[len(body) // 2] ^= 1
    leave(upstream, s4.S4Object(bytes(body), made.metadata, (), made.original))
    with pytest.raises(DamagedObject):
        read(objects, 0, 10)


def test_envelopes_are_refused_in_words(upstream: Upstream, objects: Objects) -> None:
    """An object that S4 encrypted shows in HEAD, and cannot be read without its key."""
    made = s4.encrypted(TEXT)
    leave(upstream, made)
    assert len(TEXT) == objects.backend.head_object(BUCKET, "k").size
    with pytest.raises(InvalidRequest, match="Server Side Encryption"):
        read(objects)


def test_a_missing_or_false_dictionary_is_refused(upstream: Upstream, objects: Objects) -> None:
    """A dictionary is what its name says, or the object is not read."""
    made = FORMS["single, dictionary"]
    leave(upstream, s4.S4Object(made.body, made.metadata, made.entries, made.original))
    with pytest.raises(DamagedObject, match="missing"):
        read(objects)
    leave(
        upstream, s4.S4Object(made.body, made.metadata, made.entries, made.original, dict.fromkeys(made.beside, b"x"))
    )
    with pytest.raises(DamagedObject, match="damaged"):
        read(objects)


@pytest.mark.parametrize(
    "form", ["multipart", "multipart, never stamped", "raw gzip", "single, dictionary", "single, frames"]
)
def test_copies_of_s4s_objects_read(upstream: Upstream, objects: Objects, backend: RemoteBackend, form: str) -> None:
    """Copied by the upstream with new metadata, into another bucket, without its sidecar."""
    made = FORMS[form]
    leave(upstream, made, 2 if len(made.entries) > 1 else None)
    backend.create_bucket(BucketInfo(name="other", owner="o", created_ms=0))
    source = backend.head_object(BUCKET, "k")
    objects.dictionaries.carry(BUCKET, source, "other")
    fields = {name: getattr(source.meta, name) for name in source.meta.__struct_fields__}
    backend.copy_object(source, BUCKET, "other", "c", meta=ObjectMeta(**fields | {"metadata": {"n": "1"}}))
    found = backend.head_object("other", "c")
    assert (source.size, source.etag, {"n": "1"}) == (found.size, found.etag, found.meta.metadata)
    assert made.original == b"".join(objects.read("other", found, 0, found.size))
    assert objects.parts(BUCKET, source) == objects.parts("other", found)


# -- ours under S4's reader -------------------------------------------------------------------------------------------
BODIES = [TEXT, mixed(3 * MIB + 1), random.Random(5).randbytes(2 * MIB + 3), b"tiny", TEXT[:MIB]]


@pytest.mark.parametrize("codec", [CodecId.PASSTHROUGH, CodecId.CPU_ZSTD, CodecId.CPU_GZIP])
def test_ours_walk_cleanly_under_s4s_reader(upstream: Upstream, backend: RemoteBackend, codec: CodecId) -> None:
    """Every frame, and the trailer as the padding that it is; S4's metadata say what S4's GET looks at."""
    objects = Objects(backend, AlwaysDispatcher(Choice(codec, 0 if codec is CodecId.PASSTHROUGH else 3)), threads=2)
    for number, body in enumerate(BODIES):
        objects.put(BUCKET, f"k{number}", BytesSource(body), meta=ObjectMeta(owner="o"), plan=DigestPlan())
        stored = upstream.call("GetObject", Bucket=BUCKET, Key=f"k{number}")
        data, metadata = stored["Body"].read(), stored["Metadata"]
        decoded = s4.strict_read(data) if metadata.get("s4-framed") == "true" else data
        assert (body, str(len(body)), str(len(data)), hashlib.md5(body).hexdigest()) == (
            decoded, metadata["s4-original-size"], metadata["s4-compressed-size"], metadata["s4-logical-etag"],
        )  # fmt: skip
        assert metadata["s4-codec"] in s4.NAMES.values()
    objects.close()


def test_ours_with_a_dictionary_walk_cleanly_under_s4s_reader() -> None:
    """Codec 8 with the dictionary beside it."""
    backend: Any = MemoryBackend()
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    objects = Objects(backend, SamplingDispatcher(), threads=2)
    name = objects.dictionaries.install(BUCKET, "", DICTIONARY)
    body = b"".join(EVENTS[50:70])
    obj = objects.put(BUCKET, "k", BytesSource(body), meta=ObjectMeta(owner="o"), plan=DigestPlan()).object
    data = backend.read(obj, 0, obj.stored_size)
    assert (name, s4.CPU_ZSTD_DICT, body) == (obj.meta.dictionary, data[4], s4.strict_read(data, {name: DICTIONARY}))
    objects.close()


def test_the_strict_reader_is_strict() -> None:
    """It refuses what S4 refuses, so that the tests above mean something."""
    good = s4.frame(b"hello", s4.PASSTHROUGH)
    assert "5334463200000000050000000000000005000000000000004cbb719a68656c6c6f" == good.hex()
    assert b"hellohello" == s4.strict_read(good + s4.padding_to(0, 40) + good)
    for bad in (good[:-1], good + b"abc", b"S4F3" + good[4:], good[:4] + b"\x09" + good[5:], good[:-1] + b"!"):
        with pytest.raises((ValueError, struct.error)):
            s4.strict_read(bad)
