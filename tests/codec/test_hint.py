"""Hints are tried and never trusted."""

from __future__ import annotations

import numpy as np
import pytest

from s4gw.codec import (
    AlwaysDispatcher,
    AutoDispatcher,
    Choice,
    CodecId,
    Filter,
    SamplingDispatcher,
    encode_frame,
    explain,
    hint,
)
from s4gw.codec.layout import TypedFilter
from tests.codec.numbers import LINES, RECORDS

RNG = np.random.default_rng(7)
GAPS = np.cumsum(RNG.integers(1, 5, 2**18)).astype("<u4").tobytes()
NOISE = RNG.bytes(2**18)
TEXT = LINES * 3
TABLE = RECORDS * 60
SOUND = (30_000 * np.sin(np.arange(2**18) / 100) + RNG.normal(0, 300, 2**18)).astype("<i2").tobytes()


@pytest.mark.parametrize(
    ("said", "codecs"),
    [
        ("u32", [CodecId.TYPED] * 4 + [CodecId.PCO]),
        ("i16", [CodecId.TYPED] * 4 + [CodecId.PCO]),
        ("f64", [CodecId.TYPED] * 4 + [CodecId.PCO]),
        ("record:24", [CodecId.TYPED]),
        ("record:64", [CodecId.TYPED]),
        ("record:65", []),
        ("record:1", []),
        ("f16", []),
        ("u8", []),
        ("text", []),
        ("U32", []),
        ("record:24 ", []),
        ("\N{ARABIC-INDIC DIGIT TWO}", []),
        ("", []),
    ],
)
def test_what_hints_mean(said: str, codecs: list[CodecId]) -> None:
    """Words that are no hints give nothing to try."""
    assert [choice.codec for choice in hint.candidates(said)] == codecs


@pytest.mark.parametrize(
    ("said", "data", "expected"),
    [
        ("u32", GAPS, Choice(CodecId.TYPED, 1, Filter(TypedFilter.PACK, 4))),
        ("text", TEXT, Choice(CodecId.ZSTD_CASCADE, 2)),
        ("raw", NOISE, Choice(CodecId.PASSTHROUGH)),
    ],
)
def test_right_hints_are_followed(said: str, data: bytes, expected: Choice) -> None:
    """What the samples confirm is chosen."""
    assert AutoDispatcher().hinted(said).choose(data, len(data)) == expected


def test_records_of_a_known_length() -> None:
    """Only the planes that are better as differences have to be found."""
    choice = AutoDispatcher().hinted("record:7").choose(TABLE, len(TABLE))
    assert isinstance(choice.parameters, Filter)
    assert (choice.parameters.kind, choice.parameters.width) == (TypedFilter.PLANES, 7)
    assert choice.parameters.mask


@pytest.mark.parametrize("data", [GAPS, NOISE, TEXT, TABLE, SOUND], ids=["gaps", "noise", "text", "table", "sound"])
@pytest.mark.parametrize("said", ["f64", "u16", "text", "raw", "record:23", "nonsense"])
def test_wrong_hints_cost_nothing(said: str, data: bytes) -> None:
    """A hint that does not fit leads to the same choice as none, or to one that makes as little of the data."""
    plain, hinted = (dispatcher.choose(data, None) for dispatcher in (AutoDispatcher(), AutoDispatcher().hinted(said)))
    if hinted != plain:
        assert encode_frame(data, hinted).stored_size <= 1.02 * encode_frame(data, plain).stored_size


def test_forced_codecs_take_no_hints() -> None:
    """An operator's codec, or S4's, is not changed by a client."""
    for dispatcher in (SamplingDispatcher(), AlwaysDispatcher(Choice(CodecId.CPU_ZSTD, 3))):
        assert dispatcher.hinted("u32") is dispatcher


def test_choices_can_be_explained() -> None:
    """People see what the choice leaves of samples beside what zstd does."""
    assert explain(AutoDispatcher().choose(GAPS, None), GAPS).startswith("leaves 6.")
    assert explain(AutoDispatcher().choose(TEXT, None), TEXT).startswith("text, zstd leaves ")
