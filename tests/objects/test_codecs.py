"""Every codec behind the objects: bodies come back, a range costs one frame, hints and choices are told."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from s4gw.backends import MemoryBackend
from s4gw.backends.base import BucketInfo, ObjectMeta, Upload
from s4gw.checksum import Buffer
from s4gw.codec import AlwaysDispatcher, AutoDispatcher, Choice, CodecId, Column, decode_frame
from s4gw.codec.layout import PcoType, TypedFilter
from s4gw.objects import DigestPlan, Objects, get
from s4gw.observability import configure
from tests.codec.numbers import LINES, MIXED, MIXED_CHOICE, RECORDS, typed

from .bodies import BytesSource

FRAME = 256 * 1024
PLAIN = DigestPlan()
NUMBERS = b"".join((10**12 + 1000 * n + n * n % 97).to_bytes(8, "little") for n in range(4 * FRAME // 8 + 5)) + b"odd"
CHOICES = {
    "cascade": (Choice(CodecId.ZSTD_CASCADE, 1), LINES * 9),
    "pack": (typed(TypedFilter.PACK, 8), NUMBERS),
    "delta": (typed(TypedFilter.DELTA, 8), NUMBERS),
    "delta planes": (typed(TypedFilter.DELTA_PLANES, 8), NUMBERS),
    "planes": (typed(TypedFilter.PLANES, 7, mask=0b1111), RECORDS * 400),
    "pco": (Choice(CodecId.PCO, 0, Column(PcoType.U64)), NUMBERS),
    "segments": (MIXED_CHOICE, MIXED + LINES),
}


def service(
    dispatcher: AlwaysDispatcher | AutoDispatcher, *, frame_bytes: int = FRAME, explain: bool = False
) -> Objects:
    """Objects over memory."""
    backend = MemoryBackend()
    backend.create_bucket(BucketInfo(name="b", owner="o", created_ms=0))
    return Objects(backend, dispatcher, frame_bytes=frame_bytes, threads=2, explain=explain)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, debug lines included."""
    stream = io.StringIO()
    configure("json", stream, debug=True)
    yield stream
    configure("pretty")


@pytest.mark.parametrize("name", CHOICES)
def test_a_small_range_decodes_one_frame(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 KiB anywhere within a frame cost one decode, with every codec, and are the slice of the whole."""
    choice, data = CHOICES[name]
    objects = service(AlwaysDispatcher(choice), frame_bytes=4 * FRAME if name == "segments" else FRAME)
    written = objects.put("b", "k", BytesSource(data), meta=ObjectMeta(owner="o"), plan=PLAIN)
    assert written.codec == choice.codec.label
    assert written.stored_size * 1.5 < len(data)
    decoded = []

    def decode(*given: Any, **named: Any) -> Buffer:
        decoded.append(1)
        return decode_frame(*given, **named)

    monkeypatch.setattr(get, "decode_frame", decode)
    numbers = random.Random(7)
    frame_bytes = objects.squisher.frame_bytes
    for _ in range(20):
        frame = numbers.randrange(-(-len(data) // frame_bytes))
        start = frame * frame_bytes + numbers.randrange(frame_bytes - 4096)
        end = min(start + 4096, len(data))
        if start < end:
            decoded.clear()
            assert b"".join(objects.read("b", written.object, start, end)) == data[start:end]
            assert len(decoded) == 1
    assert b"".join(objects.read("b", written.object, 0, len(data))) == data
    objects.close()


def test_automatic_choice_end_to_end() -> None:
    """A body of several kinds takes several codecs and comes back; the metrics' codec is the one of most bytes."""
    data = NUMBERS[: 8 * FRAME] + LINES * 5 + random.Random(7).randbytes(FRAME)
    objects = service(AutoDispatcher())
    written = objects.put("b", "k", BytesSource(data), meta=ObjectMeta(owner="o"), plan=PLAIN)
    assert written.codec == "typed"
    assert b"".join(objects.read("b", written.object, 0, len(data))) == data
    objects.close()


def test_hints_reach_objects_and_parts(lines: io.StringIO) -> None:
    """The client's hint is tried first for a whole object and for a part, kept as metadata, and the log says so."""
    objects = service(AutoDispatcher(), explain=True)
    hinted = ObjectMeta(owner="o", metadata={"s4gw-type": "f64"})
    written = objects.put("b", "numbers", BytesSource(NUMBERS), meta=hinted, plan=PLAIN)
    assert written.object.meta.metadata == {"s4gw-type": "f64"}
    upload = Upload(key="parts", upload_id="id", started_ms=0, meta=hinted)
    objects.backend.create_upload("b", upload)
    objects.put_part("b", upload, 1, BytesSource(NUMBERS), PLAIN)
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    chosen = [line for line in found if line["event"] == "codec chosen"]
    assert [(line["bucket"], line["key"], line["level"]) for line in chosen] == [
        ("b", "numbers", "debug"),
        ("b", "parts", "debug"),
    ]
    assert {line["choice"] for line in chosen} == {"typed pack u64"}
    assert all(line["why"].startswith("leaves ") for line in chosen)
    objects.close()
