"""Dictionaries in an upstream's bucket: objects that S4 knows, and rules that every gateway in front of it sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from s4gw.backends.base import BucketInfo, ObjectMeta
from s4gw.backends.remote import Upstream
from s4gw.backends.remote.backend import RemoteBackend
from s4gw.codec import SamplingDispatcher
from s4gw.objects import DigestPlan, Hints, Objects
from s4gw.objects.dictionaries import DOCUMENT
from s4gw.s3 import errors
from tests.objects.bodies import BytesSource
from tests.objects.test_dictionaries import DICTIONARY, NAME, document


def gateway(upstream: Upstream) -> Objects:
    return Objects(RemoteBackend(upstream, owner="o"), SamplingDispatcher(), threads=2)


@pytest.fixture
def objects(upstream: Upstream) -> Iterator[Objects]:
    """A gateway in front of an upstream with one bucket."""
    service = gateway(upstream)
    service.backend.create_bucket(BucketInfo(name="bucket", owner="o", created_ms=0))
    yield service
    service.close()


def put(objects: Objects, key: str, data: bytes) -> str:
    written = objects.put("bucket", key, BytesSource(data), meta=ObjectMeta(owner="o"), plan=DigestPlan())
    return written.object.meta.dictionary


def whole(objects: Objects, key: str) -> bytes:
    obj = objects.backend.head_object("bucket", key)
    return b"".join(objects.read("bucket", obj, 0, obj.size))


def test_hints_lie_beside_the_rules(objects: Objects, upstream: Upstream) -> None:
    """One object of the gateways' own, hidden from clients, which the next gateway reads."""
    Hints(objects.backend).put("bucket", "logs/", "text")
    other = gateway(upstream)
    kept = upstream.call("GetObject", Bucket="bucket", Key=".s4gw/hints")["Body"].read()
    listed = [each.key for each in other.backend.list_objects("bucket").objects]
    found = [Hints(other.backend).find("bucket", key, ObjectMeta(), None) for key in ("logs/a", "logs")]
    assert Hints(other.backend).rules.remove("bucket", "logs/")
    gone = Hints(other.backend).rules.table("bucket")
    other.close()
    assert (b'{"logs/":"text"}', False) == (kept, ".s4gw/hints" in listed)
    assert (["text", None], {}) == ([hint and hint.word for hint in found], gone)


def test_objects_are_written_and_read_with_it(objects: Objects, upstream: Upstream) -> None:
    """As S4 keeps it: `.s4dict/<name>` with its SHA-256, objects name it; clients see neither it nor the rules."""
    before = put(objects, "logs/0", document(5))
    objects.dictionaries.install("bucket", "logs/", DICTIONARY)
    used = put(objects, "logs/1", document(7))
    other = gateway(upstream)
    kept = upstream.call("HeadObject", Bucket="bucket", Key=f".s4dict/{NAME}")["Metadata"]
    named = upstream.call("HeadObject", Bucket="bucket", Key="logs/1")["Metadata"]
    try:
        assert ("", NAME, NAME) == (before, used, put(other, "logs/2", document(8)))
        assert (document(7), document(8)) == (whole(other, "logs/1"), whole(objects, "logs/2"))
        assert {"logs/": NAME} == other.dictionaries.table("bucket")
    finally:
        other.close()
    assert (hashlib.sha256(DICTIONARY).hexdigest(), NAME, "cpu-zstd-dict") == (
        kept["s4-dict-sha256"],
        named["s4-dict-id"],
        named["s4-codec"],
    )
    listed = objects.backend.list_objects("bucket")
    assert (["logs/0", "logs/1", "logs/2"], []) == ([each.key for each in listed.objects], listed.prefixes)


def test_a_rule_that_goes(objects: Objects) -> None:
    """New objects are written without; what is stored still reads, and the bucket can be removed in the end."""
    objects.dictionaries.install("bucket", "", DICTIONARY)
    put(objects, "k", document(1))
    assert objects.dictionaries.forget("bucket", "")
    assert ("", document(1), {}) == (
        put(objects, "other", document(2)),
        whole(objects, "k"),
        objects.dictionaries.table("bucket"),
    )


def test_other_documents_are_the_upstreams(objects: Objects) -> None:
    """A dictionary cannot be removed, and nothing else of a bucket is kept in this way."""
    for name, content in ((DOCUMENT + NAME, None), ("policy", b"{}")):
        with pytest.raises(errors.NotImplemented):
            objects.backend.put_config("bucket", name, content)


def test_clients_cannot_write_there(objects: Objects) -> None:
    """Neither dictionaries nor rules."""
    for key in (f".s4dict/{NAME}", ".s4gw/dictionaries"):
        with pytest.raises(errors.S3Error) as caught:
            put(objects, key, b"x")
        assert 400 <= caught.value.status < 500
