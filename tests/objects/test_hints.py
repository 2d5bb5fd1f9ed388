"""A hint of a bucket or prefix is tried first, gives way to the object's own, and costs nothing when it is wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, Upload
from s4gw.checksum import Buffer
from s4gw.codec import AutoDispatcher, Choice, CodecId, Dispatcher, SamplingDispatcher
from s4gw.objects import DigestPlan, Hints, Objects
from s4gw.objects.hints import DOCUMENT
from s4gw.observability import log

from .bodies import BytesSource

BUCKET: Final = "b"
PLAIN: Final = DigestPlan()
RNG: Final = np.random.default_rng(3)
KINDS: Final = {
    "gaps": np.cumsum(RNG.integers(1, 5, 2**17)).astype("<u4").tobytes(),
    "noise": RNG.bytes(2**18),
    "text": b"".join(b"GET /items/%d HTTP/1.1 200 %d\n" % (n, n * n % 977) for n in range(12_000)),
    "sound": (30_000 * np.sin(np.arange(2**17) / 100) + RNG.normal(0, 300, 2**17)).astype("<i2").tobytes(),
}


class Noting:
    """Chooses as `AutoDispatcher`, and notes what it was told."""

    def __init__(self, told: list[str], hint: str | None = None) -> None:
        self._told = told
        self._inner: Dispatcher = AutoDispatcher(hint=hint or "")
        self._hint = hint

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        self._told.append("" if self._hint is None else self._hint)
        return self._inner.choose(sample, size)

    def glance(self, choice: Choice, frame: Buffer) -> int:
        return self._inner.glance(choice, frame)

    def hinted(self, hint: str) -> Dispatcher:
        return Noting(self._told, hint)


def service(dispatcher: Dispatcher, *, explain: bool = False) -> Objects:
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name=BUCKET, owner="o", created_ms=0))
    return Objects(backend, dispatcher, threads=2, explain=explain)


def put(objects: Objects, key: str, data: bytes, said: str | None = None) -> int:
    """Store *data*. Returns: stored bytes."""
    meta = ObjectMeta(owner="o", metadata={} if said is None else {"s4gw-type": said})
    return objects.put(BUCKET, key, BytesSource(data), meta=meta, plan=PLAIN).stored_size


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def objects(told: list[str]) -> Iterator[Objects]:
    made = service(Noting(told))
    hints = Hints(made.backend)
    hints.put(BUCKET, "", "f64")
    hints.put(BUCKET, "raw/", "u16")
    hints.put(BUCKET, "raw/events/", "record:24")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("key", "said", "expected"),
    [
        ("a", None, "f64"),
        ("raw", None, "f64"),
        ("raw/a", None, "u16"),
        ("raw/events/a", None, "record:24"),
        ("raw/events/a", "text", "text"),
        ("a", "", ""),
    ],
)
def test_the_objects_own_word_then_the_longest_prefix(
    objects: Objects, told: list[str], key: str, said: str | None, expected: str
) -> None:
    """One of them reaches the dispatcher, for a body and for a part."""
    put(objects, key, KINDS["gaps"], said)
    meta = ObjectMeta(owner="o", metadata={} if said is None else {"s4gw-type": said})
    upload = Upload(key=key, upload_id=f"{key}{said}", started_ms=0, meta=meta)
    objects.backend.create_upload(BUCKET, upload)
    objects.put_part(BUCKET, upload, 1, BytesSource(KINDS["gaps"]), PLAIN)
    assert told == [expected, expected]


def test_small_bodies_ask_nobody(objects: Objects, told: list[str]) -> None:
    """Below 64 KiB a hint changes nothing, so that none is looked for; of unknown length, it may matter."""
    put(objects, "small", KINDS["gaps"][: 2**16 - 1])
    small = BytesSource(KINDS["gaps"][: 2**16 - 1], known=False)
    objects.put(BUCKET, "unknown", small, meta=ObjectMeta(owner="o"), plan=PLAIN)
    assert told == ["", "f64"]


def test_a_change_is_followed_at_once(objects: Objects, told: list[str]) -> None:
    """Also when it is forgotten, prefix by prefix; what nobody can read is nothing."""
    rules = Hints(objects.backend).rules
    removed = [rules.remove(BUCKET, prefix) for prefix in ("raw/", "raw/", "")]
    put(objects, "raw/a", KINDS["gaps"])
    put(objects, "raw/events/a", KINDS["gaps"])
    objects.backend.put_config(BUCKET, DOCUMENT, b"[1, 2")
    put(objects, "raw/events/a", KINDS["gaps"])
    assert (removed, told) == ([True, False, True], ["", "record:24", ""])


@pytest.mark.parametrize("word", ["", "u8", "F64", "record:65", "none", "text "])
def test_what_is_no_hint_is_not_kept(objects: Objects, word: str) -> None:
    """An operator learns of a slip of the pen."""
    hints = Hints(objects.backend)
    with pytest.raises(ValueError, match="is no hint"):
        hints.put(BUCKET, "x", word)
    assert "x" not in hints.rules.table(BUCKET)


def test_prefixes_are_bounded(objects: Objects) -> None:
    """The document stays small, since workers read it with the bucket."""
    hints = Hints(objects.backend)
    for number in range(61):
        hints.put(BUCKET, f"{number}/", "text")
    with pytest.raises(ValueError, match="64 prefixes"):
        hints.put(BUCKET, "more/", "text")
    hints.put(BUCKET, "0/", "raw")
    assert (64, "raw") == (len(hints.rules.table(BUCKET)), hints.rules.table(BUCKET)["0/"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["raw", "text", "u64", "f32", "record:23"])
def test_a_wrong_hint_makes_nothing_larger(kind: str, word: str) -> None:
    """Whatever the bucket is said to hold, each kind of bytes is stored within 1 % of what it takes without."""
    objects = service(AutoDispatcher())
    Hints(objects.backend).put(BUCKET, "said/", word)
    said, plain = put(objects, "said/a", KINDS[kind]), put(objects, "a", KINDS[kind])
    objects.close()
    assert said <= plain * 1.01


def test_the_log_tells_the_hint_and_whose_it_was() -> None:
    """Beside what was chosen, so that one sees whether it was followed."""
    lines = io.StringIO()
    log.configure("json", lines, debug=True)
    objects = service(AutoDispatcher(), explain=True)
    Hints(objects.backend).put(BUCKET, "", "u32")
    put(objects, "a", KINDS["gaps"])
    put(objects, "b", KINDS["gaps"], "text")
    put(objects, "c", KINDS["gaps"][:100])
    objects.close()
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["choice"], line.get("hint")) for line in found if line["event"] == "codec chosen"] == [
        ("typed pack u32", "u32, the bucket's"),
        ("typed pack u32", "text, the object's"),
        ("cpu-zstd 3", None),
    ]


def test_an_operators_codec_takes_no_hints() -> None:
    """What was forced is written, and the bucket is not even asked."""
    objects = service(SamplingDispatcher(CodecId.CPU_GZIP))
    Hints(objects.backend).put(BUCKET, "", "u32")
    said = put(objects, "a", KINDS["gaps"], "u32")
    assert objects.backend.head_object(BUCKET, "a").meta.codec == "cpu-gzip"
    assert said > len(KINDS["gaps"]) // 4
    objects.close()
