"""Bytes damaged on disk are refused: what a read gives is right, an error, or cut off before it would be wrong.

The volumes of a stopped gateway are damaged by hand, found by what they hold and by the layout that docs/format.md and
docs/store.md give, not by the server's own code.
"""

from __future__ import annotations

import http.client
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.live import gateway as live
from tests.live.gateway import Gateway

BUCKET: Final = "damage"
FRAME: Final = 1024**2
FRAME_HEADER: Final = 28
SALT: Final = slice(24, 32)
RANGE: Final = 5000


def noise(seed: int, size: int) -> bytes:
    """What does not shrink, so that it lies on disk as it was sent."""
    return random.Random(seed).randbytes(size)


OBJECTS: Final[Mapping[str, bytes]] = {
    "frame-header": noise(1, 3 * FRAME),
    "frame-payload": noise(2, 3 * FRAME),
    "record-header": noise(3, 3 * FRAME),
    "block-table": noise(4, 3 * FRAME),
    "late": noise(11, 9 * FRAME),
    "trailer": noise(5, 3 * FRAME),
    "raw-small": noise(6, 30_000),
    "raw-large": noise(7, 700_000),
    "inline": noise(8, 900),
    "sound-frames": noise(9, 3 * FRAME),
    "sound-raw": noise(10, 30_000),
    "sound-text": b"a line of a log that shrinks\n" * 200_000,
}


def find(volume: bytes, data: bytes) -> int:
    """Where the volume holds the start of *data*, once."""
    at = volume.find(data[:64])
    assert at > 0
    return at


def frame(volume: bytes, data: bytes, number: int = 1) -> int:
    """Where a frame of an object begins; each says how much of the object it holds."""
    at = offset = 0
    for _ in range(number + 1):
        at = find(volume, data[offset:]) - FRAME_HEADER
        assert volume[at : at + 4] == b"S4F2"
        offset += int.from_bytes(volume[at + 8 : at + 16], "little")
    return at


def record_of(volume: bytes, at: int) -> int:
    """Where the record around *at* begins: at the nearest salt before it."""
    return volume.rindex(volume[SALT], 0, at)


DAMAGE: Final[Mapping[str, Callable[[bytes, bytes], int]]] = {
    "frame-header": lambda volume, data: frame(volume, data) + 10,
    "frame-payload": lambda volume, data: frame(volume, data) + FRAME_HEADER + 500_000,
    "record-header": lambda volume, data: record_of(volume, frame(volume, data)) + 13,
    "block-table": lambda volume, data: record_of(volume, frame(volume, data)) + 30,
    "late": lambda volume, data: frame(volume, data, 7) + FRAME_HEADER + 500_000,
    "trailer": lambda volume, data: volume.index(b"S4GT", find(volume, data[2 * FRAME :])) - 3,
    "raw-small": lambda volume, data: find(volume, data) + 15_000,
    "raw-large": lambda volume, data: find(volume, data) + 400_000,
    "inline": lambda volume, data: find(volume, data) + 450,
}
"""Key -> where, in a volume, the byte lies that is flipped. Each object is damaged in one place."""


def read(own: Gateway, key: str, start: int, end: int) -> tuple[int, bytes]:
    """Read ``[start, end)``. Returns: status and what arrived before the end or the cut."""
    link = own.client().generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": key})
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=30)
    try:
        connection.request("GET", link.removeprefix(own.url), headers={"Range": f"bytes={start}-{end - 1}"})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read()
        except http.client.IncompleteRead as cut:
            return answer.status, cut.partial
    finally:
        connection.close()


def outcome(own: Gateway, key: str, start: int, end: int) -> str:
    """Read ``[start, end)``. Returns: "right", "refused", "cut" before the end, or "wrong"."""
    status, body = read(own, key, start, end)
    wanted = OBJECTS[key][start:end]
    if status >= http.HTTPStatus.BAD_REQUEST:
        return "refused" if status == http.HTTPStatus.INTERNAL_SERVER_ERROR and wanted[:64] not in body else "wrong"
    if body == wanted:
        return "right"
    return "cut" if len(body) < len(wanted) and wanted.startswith(body) else "wrong"


def outcomes(own: Gateway, key: str) -> list[str]:
    """What reading the whole gives, and a range in its first, second and last third."""
    size = len(OBJECTS[key])
    starts = (size // 9, size // 2, size - size // 9)
    return [outcome(own, key, 0, size)] + [outcome(own, key, at, min(at + RANGE, size)) for at in starts]


def damage(volumes: Path) -> None:
    """Flip one bit for each object of `DAMAGE`."""
    (path,) = volumes.glob("*.s4v")
    volume = path.read_bytes()
    places = [place(volume, OBJECTS[key]) for key, place in DAMAGE.items()]
    with path.open("r+b") as file:
        for at in places:
            file.seek(at)
            file.write(bytes([volume[at] ^ 0x10]))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway over objects that were damaged while it was down."""
    folder = tmp_path_factory.mktemp("damaged")
    with live.running(folder) as first:
        client = first.client()
        client.create_bucket(Bucket=BUCKET)
        for key, data in OBJECTS.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=data)
    damage(folder / "data" / "volumes")
    with live.running(folder) as second:
        yield second


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("frame-header", ["cut", "right", "refused", "right"]),
        ("frame-payload", ["cut", "right", "refused", "right"]),
        ("record-header", ["cut", "right", "refused", "right"]),
        ("block-table", ["cut", "right", "refused", "right"]),
        ("late", ["cut", "right", "right", "right"]),
        ("raw-small", ["refused"] * 4),
        ("raw-large", ["refused"] * 4),
    ],
)
def test_damaged_bytes_are_refused(own: Gateway, key: str, expected: list[str]) -> None:
    """A flipped bit makes reads of its frame fail and no others; nothing wrong ever leaves.

    Damage in the first frame that is read is an error, in a later one the connection is cut.
    """
    found = outcomes(own, key)
    assert expected == found


@pytest.mark.parametrize("key", ["trailer", "inline"])
def test_damage_that_can_be_made_good(own: Gateway, key: str) -> None:
    """A damaged trailer is made anew from the frames, and small objects have a second copy in the index."""
    found = outcomes(own, key)
    assert ["right"] * 4 == found


@pytest.mark.parametrize("key", [key for key in OBJECTS if key.startswith("sound-")])
def test_others_are_not_affected(own: Gateway, key: str) -> None:
    """Objects in the same volume read as before."""
    found = outcomes(own, key)
    assert ["right"] * 4 == found


def test_damage_hides_nothing(own: Gateway) -> None:
    """Damaged objects are still listed and described, can be replaced, and then read right."""
    client = own.client()
    listed = {entry["Key"]: entry["Size"] for entry in client.list_objects_v2(Bucket=BUCKET)["Contents"]}
    described = client.head_object(Bucket=BUCKET, Key="raw-small")["ContentLength"]
    client.put_object(Bucket=BUCKET, Key="replaced", Body=OBJECTS["raw-small"])
    again = client.get_object(Bucket=BUCKET, Key="replaced")["Body"].read()
    expected = ({key: len(data) for key, data in OBJECTS.items()}, len(OBJECTS["raw-small"]), OBJECTS["raw-small"])
    assert expected == (listed, described, again)
