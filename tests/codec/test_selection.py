"""A choice is trusted while it works, and made anew when the bytes change."""

from __future__ import annotations

from s4gw.checksum import Buffer
from s4gw.codec import Choice, CodecId, Dispatcher, Selection
from s4gw.codec.frame import EncodedFrame
from s4gw.codec.layout import TypedFilter
from tests.codec.numbers import typed

MIB = 2**20
PLAIN = Choice(CodecId.PASSTHROUGH)


class Scripted:
    """Dispatcher that chooses by the first byte of a frame, glances at the second, and counts."""

    def __init__(self, *choices: Choice) -> None:
        self.choices = choices
        self.asked = 0

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        del size
        self.asked += 1
        return self.choices[memoryview(sample)[0]]

    def glance(self, choice: Choice, frame: Buffer) -> int:
        del choice
        return memoryview(frame)[1]

    def hinted(self, hint: str) -> Dispatcher:
        del hint
        return self


def frame(stored: int) -> EncodedFrame:
    """A frame of 1 MiB stored in so many bytes."""
    return EncodedFrame(b"", bytes(stored - 28), CodecId.PASSTHROUGH, MIB, 0)


def run(dispatcher: Scripted, frames: list[tuple[bytes, int]]) -> list[int]:
    """How often the dispatcher was asked, after each frame."""
    selection, asked = Selection(dispatcher), []
    for head, stored in frames:
        selection.choose(head + bytes(MIB - len(head)), None)
        selection.observe(frame(stored))
        asked.append(dispatcher.asked)
    return asked


def test_one_choice_while_the_ratio_stays() -> None:
    """64 MiB of one kind cost one choice."""
    assert run(Scripted(PLAIN), [(b"\x00\x64", 500_000 + 400 * n) for n in range(65)]) == [1] * 64 + [2]


def test_drift_asks_again() -> None:
    """A ratio 6 % off the first one's asks again; if that changes nothing, the next drift waits four times as long."""
    sizes = (500_000, 560_000, 560_000, 620_000, *(620_000, 700_000) * 4)
    assert run(Scripted(PLAIN), [(b"\x00\x64", size) for size in sizes]) == [1] * 2 + [2] * 8 + [3] * 2


def test_a_glance_sees_another_kind_at_once() -> None:
    """What looks different is not compressed with the old choice first."""
    heads = [b"\x00\x64", b"\x00\x6e", b"\x01\x0a", b"\x01\x0a"]
    assert run(Scripted(PLAIN, Choice(CodecId.CPU_ZSTD, 1)), [(head, 500_000) for head in heads]) == [1, 1, 2, 2]


def test_records_go_on_over_frames() -> None:
    """The planes of records are numbered from where the next frame begins."""
    choice = typed(TypedFilter.PLANES, 21, mask=0b11)
    selection = Selection(Scripted(choice))
    first, second = (selection.choose(b"\x00\x64" + bytes(MIB - 2), None) for _ in range(2))
    assert first is choice
    assert second == typed(TypedFilter.PLANES, 21, mask=3 << (21 - MIB % 21) % 21)


def test_mixtures_learn() -> None:
    """What a doubt about segments finds is one more thing for pieces to choose from; text ends the mixture."""
    plain, zstd, packed = PLAIN, Choice(CodecId.ZSTD_CASCADE, 3), typed(TypedFilter.PACK, 8)
    first = Choice(CodecId.SEGMENTS, 1, (plain, zstd, packed))
    other = typed(TypedFilter.PLANES, 4)
    dispatcher = Scripted(first, other, Choice(CodecId.SEGMENTS, 1, (plain, zstd, other)), zstd)
    selection = Selection(dispatcher)
    found = []
    for kind, glance in ((0, 9), (1, 99), (2, 9), (3, 99), (3, 99)):
        found.append(selection.choose(bytes([kind, glance]) + bytes(MIB - 2), None))
        selection.observe(frame(500_000))
    both = Choice(CodecId.SEGMENTS, 1, (plain, zstd, other, packed))
    assert found == [first, both, both, both, zstd]  # what was confirmed twice is not doubted at the next glance
