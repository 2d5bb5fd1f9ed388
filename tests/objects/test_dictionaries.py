"""Dictionaries: small objects are written with one where a rule says so, and read wherever they are copied to."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

import msgspec
import pytest

from s4gw.backends import Backend, EmbeddedBackend, MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, StoredObject
from s4gw.codec import Choice, CodecId, SamplingDispatcher, TooFewSamples, encode_frame, train_dictionary
from s4gw.objects import OBJECT_BYTES_MAX, DamagedObject, DigestPlan, Objects, copied_meta
from s4gw.objects.dictionaries import DOCUMENT, KEPT_MAX, PREFIX, TABLE
from s4gw.tools.bench_data import make
from tests.objects.bodies import BytesSource


def document(number: int) -> bytes:
    """A small document that shares its words with others."""
    rng = random.Random(number)
    return (
        f'{{"@timestamp":"2026-05-12T10:30:{number % 60:02}Z","service.name":"checkout","http.request.method":"POST",'
        f'"http.response.status_code":{rng.choice((200, 201, 404))},"user.id":"u-{rng.randrange(10**6)}",'
        f'"trace.id":"{rng.randrange(2**64):016x}","message":"order accepted"}}'
    ).encode()


DICTIONARY = train_dictionary([document(number) for number in range(2000)], 4096)
NAME = hashlib.sha256(DICTIONARY).hexdigest()[:16]


def made(backend: Backend) -> Objects:
    for name in ("b", "other"):
        backend.create_bucket(BucketInfo(name=name, owner="o", created_ms=0))
    return Objects(backend, SamplingDispatcher(), frame_bytes=128 * 1024, threads=2)


@pytest.fixture
def objects() -> Iterator[Objects]:
    service = made(MemoryBackend())
    yield service
    service.close()


def put(objects: Objects, key: str, data: bytes, bucket: str = "b", *, known: bool = True) -> StoredObject:
    source = BytesSource(data, known=known)
    return objects.put(bucket, key, source, meta=ObjectMeta(owner="o"), plan=DigestPlan()).object


def whole(objects: Objects, obj: StoredObject, bucket: str = "b") -> bytes:
    return b"".join(objects.read(bucket, obj, 0, obj.size))


def test_the_same_samples_give_the_same_dictionary() -> None:
    """A name is its content's, so training again changes nothing; nothing to learn from is an error."""
    assert DICTIONARY == train_dictionary([document(number) for number in range(2000)], 4096)
    with pytest.raises(TooFewSamples):
        train_dictionary([b"x"], 4096)


@pytest.mark.parametrize("known", [True, False])
def test_objects_under_the_prefix_are_smaller_and_come_back(objects: Objects, known: bool) -> None:
    """The frame is cpu-zstd-dict, the object names the dictionary; ranges work; others are written as before."""
    data = document(99_999)
    before = put(objects, "logs/1", data, known=known)
    assert NAME == objects.dictionaries.install("b", "logs/", DICTIONARY)
    after, elsewhere = put(objects, "logs/1", data, known=known), put(objects, "images/1", data, known=known)
    assert (data, data[10:20]) == (whole(objects, after), b"".join(objects.read("b", after, 10, 20)))
    assert (NAME, "cpu-zstd-dict", True) == (after.meta.dictionary, after.meta.codec, after.meta.framed)
    assert ("", before.stored_size, True) == (
        elsewhere.meta.dictionary,
        elsewhere.stored_size,
        after.stored_size * 2 < before.stored_size,
    )


def documents(name: str, size: int) -> list[bytes]:
    """600 documents of whole lines, each of *size* bytes at most."""
    found, pending = [], b""
    for line in make(name, 700 * size).splitlines(keepends=True):
        if len(pending) + len(line) > size:
            found.append(pending)
            pending = b""
        pending += line
    return found[:600]


@pytest.mark.parametrize(
    ("name", "size", "plain_min", "helped_min"),
    [
        ("json", 1024, 1.85, 4.5),
        ("json", 4096, 4.0, 6.1),
        ("nginx-real", 1024, 2.5, 7.6),
        ("nginx-real", 4096, 5.4, 12.2),
    ],
)
def test_small_documents_shrink_as_the_docs_say(
    objects: Objects, name: str, size: int, plain_min: float, helped_min: float
) -> None:
    """Ratios of all that is stored, frame headers included, of every fifth document; the others were learned from."""
    found = documents(name, size)
    judged = found[::5]
    original, before = sum(map(len, judged)), sum(put(objects, "k", each).stored_size for each in judged)
    learned = [each for number, each in enumerate(found) if number % 5]
    objects.dictionaries.install("b", "logs/", train_dictionary(learned, 16 * 1024))
    after = sum(put(objects, "logs/k", each).stored_size for each in judged)
    assert (True, True) == (original >= plain_min * before, original >= helped_min * after), (before, after)


def test_the_smaller_encoding_is_stored(objects: Objects) -> None:
    """What the dictionary does not help is stored without, and what does not shrink stays raw."""
    objects.dictionaries.install("b", "", DICTIONARY)
    text, noise = b"nothing of the sort " * 300, random.Random(5).randbytes(500)
    plain, raw = put(objects, "text", text), put(objects, "noise", noise)
    assert (text, noise) == (whole(objects, plain), whole(objects, raw))
    assert ("", False, 500) == (raw.meta.dictionary, raw.meta.framed, raw.stored_size)
    assert plain.stored_size <= encode_frame(text, Choice(CodecId.CPU_ZSTD, 3)).stored_size


def test_only_small_objects(objects: Objects) -> None:
    """Up to 64 KiB, whether the size is announced or not."""
    objects.dictionaries.install("b", "", DICTIONARY)
    data = DICTIONARY[-3000:] + random.Random(6).randbytes(OBJECT_BYTES_MAX)
    sizes = (OBJECT_BYTES_MAX, OBJECT_BYTES_MAX + 1)
    found = [put(objects, "k", data[:size], known=known).meta.dictionary for size in sizes for known in (True, False)]
    assert [NAME, NAME, "", ""] == found
    assert "" == put(objects, "empty", b"").meta.dictionary


def test_the_longest_prefix_counts(objects: Objects) -> None:
    """And a rule that goes leaves what is stored readable."""
    second = train_dictionary([document(number)[::-1] for number in range(2000)], 4096)
    objects.dictionaries.install("b", "", second)
    objects.dictionaries.install("b", "logs/", DICTIONARY)
    data = document(7)
    logs, rest = put(objects, "logs/x", data), put(objects, "x", data[::-1])
    assert (NAME, objects.dictionaries.table("b")[""]) == (logs.meta.dictionary, rest.meta.dictionary)
    forgotten = (objects.dictionaries.forget("b", "logs/"), objects.dictionaries.forget("b", "logs/"))
    assert (True, False) == forgotten
    assert (data, "") == (whole(objects, logs), put(objects, "logs/y", b"12345" * 100).meta.dictionary)
    objects.dictionaries.forget("b", "")
    assert TABLE not in objects.backend.get_bucket("b").configs


def test_another_process_sees_a_rule_at_once(tmp_path: pytest.TempPathFactory) -> None:
    """What one process installs, another that has the bucket open already uses for its next write."""
    first = made(EmbeddedBackend(str(tmp_path)))
    second = Objects(EmbeddedBackend(str(tmp_path)), SamplingDispatcher(), threads=2)
    try:
        before = put(second, "k", document(1))
        first.dictionaries.install("b", "", DICTIONARY)
        after = put(second, "k", document(1))
        assert ("", NAME, document(1)) == (before.meta.dictionary, after.meta.dictionary, whole(first, after))
    finally:
        for each in (second, first):
            each.close()
            each.backend.close()


def test_copies_take_the_dictionary_along(objects: Objects) -> None:
    """A copy in another bucket keeps the stored bytes and reads there, also after the first bucket forgot."""
    objects.dictionaries.install("b", "", DICTIONARY)
    source = put(objects, "k", document(3))
    objects.dictionaries.carry("b", source, "other")
    meta = copied_meta(source.meta, ObjectMeta(owner="o"))
    copy = objects.backend.copy_object(source, "b", "other", "k", meta=meta)
    objects.dictionaries.forget("b", "")
    fresh = Objects(objects.backend, SamplingDispatcher(), threads=2)
    try:
        assert (document(3), {}) == (whole(fresh, copy, "other"), fresh.dictionaries.table("other"))
    finally:
        fresh.close()


def test_dictionaries_of_s4_are_objects(objects: Objects) -> None:
    """`.s4dict/<name>` is found when the bucket has no document of that name."""
    data = document(8)
    frame = encode_frame(data, Choice(CodecId.CPU_ZSTD_DICT, 3), dictionary=DICTIONARY)
    for key, parts, meta in (
        (PREFIX + NAME, (DICTIONARY,), ObjectMeta()),
        ("k", (frame.header, frame.payload), ObjectMeta(framed=True, frames=1, codec="cpu-zstd-dict", dictionary=NAME)),
    ):
        writer = objects.backend.open_writer("b", key, meta)
        writer.write(*parts)
        objects.backend.put_object("b", key, writer, size=len(data), etag="e", meta=meta)
    assert data == whole(objects, objects.backend.head_object("b", "k"))


def test_a_damaged_or_missing_dictionary_refuses_reads_and_fails_no_write(objects: Objects) -> None:
    """Its bytes are held against its name."""
    objects.dictionaries.install("b", "", DICTIONARY)
    obj = put(objects, "k", document(1))
    for wrong in (DICTIONARY[:-1] + b"!", None):
        objects.backend.put_config("b", DOCUMENT + NAME, wrong)
        fresh = Objects(objects.backend, SamplingDispatcher(), threads=2)
        try:
            with pytest.raises(DamagedObject):
                whole(fresh, obj)
            assert "" == put(fresh, "new", document(2)).meta.dictionary
        finally:
            fresh.close()
    objects.backend.put_config("b", TABLE, b"not JSON")
    assert "" == put(objects, "new", document(2)).meta.dictionary


def test_bounds(objects: Objects) -> None:
    """Dictionaries of no size, names that are none, too many prefixes; a few are kept in memory."""
    for wrong in (b"", bytes(2**20 + 1)):
        with pytest.raises(ValueError, match="1 to 1048576 bytes"):
            objects.dictionaries.install("b", "", wrong)
    objects.backend.put_config("b", TABLE, msgspec.json.encode({f"p{number}": NAME for number in range(64)}))
    with pytest.raises(ValueError, match="64 prefixes"):
        objects.dictionaries.install("b", "one more", DICTIONARY)
    for number in range(KEPT_MAX + 5):
        objects.dictionaries.install("other", f"{number}", bytes([number]) * 1000)
        put(objects, f"{number}", b"x" * 100, "other")
    assert KEPT_MAX == len(objects.dictionaries._kept)
    wrong_name = msgspec.structs.replace(put(objects, "k", document(1)).meta, dictionary="../../secret")
    obj = msgspec.structs.replace(put(objects, "k", document(1)), meta=wrong_name)
    with pytest.raises(DamagedObject, match="name of the dictionary"):
        objects.dictionaries.of("b", obj)(0)
