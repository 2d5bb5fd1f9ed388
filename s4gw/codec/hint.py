"""What a client says its bytes are: tried, never trusted.

A hint is a word: ``u16`` to ``u64``, ``i16`` to ``i64``, ``f32``, ``f64``, ``record:24`` (bytes of a record), ``text``
or ``raw``. The last two save the search where samples agree; of the others, what they name is measured beside
whatever the samples suggest, so that a wrong hint costs a little time and no ratio.
"""

from __future__ import annotations

import re
from typing import Final

from s4gw.codec.choice import Choice, Column, Filter
from s4gw.codec.layout import RECORD_BYTES_MAX, RECORD_BYTES_MIN, CodecId, PcoType, TypedFilter

_NUMBER: Final = re.compile(r"([uif])(16|32|64)", re.ASCII)
_RECORD: Final = re.compile(r"record:([0-9]{1,2})", re.ASCII)
_FLOATS: Final = {4: PcoType.F32, 8: PcoType.F64}
_INTEGERS: Final = {2: PcoType.U16, 4: PcoType.U32, 8: PcoType.U64}

TEXT: Final = "text"
RAW: Final = "raw"


def is_hint(word: str) -> bool:
    """Tell whether *word* says anything."""
    return word in {TEXT, RAW} or bool(candidates(word))


def candidates(hint: str) -> tuple[Choice, ...]:
    """Give the choices that fit a hint, most likely first; none for ``text``, ``raw`` and what is no hint."""
    if number := _NUMBER.fullmatch(hint):
        width = int(number[2]) // 8
        if number[1] != "f":
            pco = Column(_INTEGERS[width])
        elif width in _FLOATS:
            pco = Column(_FLOATS[width])
        else:
            return ()
        kinds = (TypedFilter.PACK, TypedFilter.DELTA_PLANES, TypedFilter.PLANES, TypedFilter.DELTA)
        filters = tuple(Choice(CodecId.TYPED, 1, Filter(kind, width)) for kind in kinds)
        return (*filters, Choice(CodecId.PCO, 0, pco))
    record = _RECORD.fullmatch(hint)
    if record and RECORD_BYTES_MIN <= int(record[1]) <= RECORD_BYTES_MAX:
        return (Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, int(record[1]))),)
    return ()
