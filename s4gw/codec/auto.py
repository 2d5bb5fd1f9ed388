"""Find out what bytes are made of, without a hint, and choose the codec that makes least of them.

Per choice, in this order: text goes to zstd at once; a dozen filters are estimated on four samples; what nothing
shrinks is left alone; records show by the distance at which bytes are equal; samples that want different filters get
segments; else the best few are measured again on larger samples, together with pcodec. A wrong guess costs ratio,
never bytes. Choosing is deterministic, so that equal objects are stored equally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from s4gw.checksum import Buffer
from s4gw.codec import estimate, hint, order, pco, transform, typed, zstd
from s4gw.codec.choice import Choice, Column, Filter
from s4gw.codec.dispatch import Dispatcher, SamplingDispatcher, spread, trial_level, trial_sample
from s4gw.codec.estimate import INCOMPRESSIBLE_PERMILLE
from s4gw.codec.layout import CodecId, PcoType, TypedFilter

AUTO_BYTES_MIN: Final = 64 * 1024
"""Below, choosing would cost more than it saves: small objects are what a gateway stores most of."""

_PIECES: Final = 4
_PIECE_BYTES: Final = 8 * 1024
_PIECE_BYTES_MIN: Final = 1024
_CLOSER_PIECES: Final = 3
_CLOSER_BYTES: Final = 16 * 1024
_PIECE_SHARE: Final = 64  # of what there is; small objects get small samples
_ALIGNMENT: Final = 64

_RECORD_PERCENT: Final = 97
_SEGMENTS_PERCENT: Final = 97  # winners of single samples must beat the best for all by 3 %
_NEAR_PERCENT: Final = 125
_NEARER_PERCENT: Final = 112
_SAME_PERCENT: Final = 105
_CLEARLY_PERCENT: Final = 85
_TIE_PERCENT: Final = 102
_LEVELS: Final = (1, 3)
_CLOSER_CANDIDATES: Final = 3
_HOPEFUL_PERCENT: Final = 115
_UNEVEN: Final = 3  # one sample takes so many times what another takes: several kinds of bytes
_NOTHING: Final = 128  # bytes; what samples of nearly nothing take says little
_ROOM: Final = 4  # times the sample that tells levels apart
_GLANCE_BYTES: Final = 2048
_GLANCE_WIDTH: Final = 8  # numbers of 2 and 4 bytes show in planes of 8 as well
_GLANCE_PERCENT: Final = 95

ZSTD: Final = Choice(CodecId.ZSTD_CASCADE, 1)
TEXT: Final = Choice(CodecId.ZSTD_CASCADE, 1)
"""The same for text, where a trial tells which level pays; for programs, databases and archives the better one does."""
PLAIN: Final = Choice(CodecId.PASSTHROUGH, 0)


def _typed(kind: TypedFilter, width: int, *, big_endian: bool = False) -> Choice:
    return Choice(CodecId.TYPED, 1, Filter(kind, width, big_endian))


CANDIDATES: Final = (
    ZSTD,
    *(_typed(TypedFilter.PLANES, width) for width in (2, 4, 8)),
    *(_typed(TypedFilter.DELTA_PLANES, width) for width in (2, 4, 8)),
    *(_typed(TypedFilter.DELTA, width) for width in (4, 8)),
    *(_typed(TypedFilter.PACK, width) for width in (4, 8)),
)
"""What is estimated for everything that is not text."""
FLOATS: Final = {Choice(CodecId.PCO, 0, Column(kind)): kind for kind in (PcoType.F64, PcoType.F32)}
"""The same where samples look like it: decimal floats look like noise to everything else."""

# what decodes slower must be smaller by this much to be chosen, in percent of its size
_WEIGHTS: Final[Mapping[TypedFilter, int]] = {
    TypedFilter.DELTA: 100,
    TypedFilter.PLANES: 100,
    TypedFilter.DELTA_PLANES: 101,
    TypedFilter.PACK: 100,
}
_WEIGHT_RECORD: Final = 103
_WEIGHT_PCO: Final = 104


class AutoDispatcher:
    """Chooses among all codecs.

    Args:
        levels: Two zstd levels: the fast one, and the one for text and the like where it saves something.
        hint: What the client says the bytes are; nonsense is ignored.
    """

    __slots__ = ("_hint", "_levels", "_small")

    def __init__(self, levels: tuple[int, int] = _LEVELS, hint: str = "") -> None:
        self._hint = hint
        self._levels = levels
        self._small = SamplingDispatcher(CodecId.CPU_ZSTD, levels=levels)

    def choose(self, sample: Buffer, size: int | None) -> Choice:
        known = memoryview(sample).nbytes if size is None else size
        if known < AUTO_BYTES_MIN:
            return self._small.choose(sample, size)
        view = memoryview(sample).cast("B")
        choice = (_confirmed(view, self._hint) if self._hint else None) or survey(view, hint.candidates(self._hint))
        if choice is TEXT:
            return msgspec.structs.replace(choice, level=trial_level(view, known, self._levels))
        return _leveled(choice, self._levels)

    def glance(self, choice: Choice, frame: Buffer) -> int:
        """Permille of a sample that *choice* would leave; of zstd or nothing: 0 text, 1000 numbers, 500 neither."""
        if choice.codec is CodecId.SEGMENTS:
            return 0  # chooses for itself
        view = memoryview(frame).cast("B")
        middle = len(view) // 2 // _ALIGNMENT * _ALIGNMENT
        piece = view[middle : middle + _GLANCE_BYTES]
        wanted = choice.parameters
        if isinstance(wanted, Filter):
            differences = wanted.kind is not TypedFilter.PLANES
            left = estimate.planes_size(piece, wanted.width, differences=differences)
            return left * 1000 // max(1, len(piece))
        if isinstance(wanted, Column):  # pcodec takes too long on a few numbers; their planes tell as well
            return estimate.planes_size(piece, pco.TYPES[wanted.kind].itemsize) * 1000 // max(1, len(piece))
        if estimate.is_text([piece]):
            return 0
        if estimate.looks_like_floats(piece):
            return 1000
        plain = estimate.size_of(ZSTD, piece)
        planes = estimate.planes_size(piece, _GLANCE_WIDTH)
        nothing = choice.codec is CodecId.PASSTHROUGH and plain * 100 < len(piece) * _GLANCE_PERCENT
        return 1000 if nothing or planes * 100 < plain * _GLANCE_PERCENT else 500

    def hinted(self, hint: str) -> Dispatcher:
        return AutoDispatcher(self._levels, hint)


def explain(choice: Choice, sample: Buffer) -> str:
    """Say for people why *choice* suits *sample*: what it leaves of small pieces, and what zstd does."""
    view = memoryview(sample).cast("B")
    pieces = spread(view, _PIECES, _piece_bytes(view, _PIECE_BYTES), alignment=_ALIGNMENT)
    size = max(1, sum(map(len, pieces)))
    if estimate.is_text(pieces):
        return f"text, zstd leaves {100 * _total(ZSTD, view, pieces) / size:.1f} % of samples"
    choices = choice.parameters if isinstance(choice.parameters, tuple) else (choice,)
    left = sum(min(_total(each, view, [piece]) for each in choices) for piece in pieces)
    return f"leaves {100 * left / size:.1f} % of samples, zstd {100 * _total(ZSTD, view, pieces) / size:.1f} %"


def _confirmed(view: memoryview, said: str) -> Choice | None:
    """Give what the words "text" and "raw" ask for, where samples agree."""
    pieces = spread(view, _PIECES, _piece_bytes(view, _PIECE_BYTES), alignment=_ALIGNMENT)
    if said == hint.TEXT and estimate.is_text(pieces):
        return TEXT
    flat = said == hint.RAW and _total(ZSTD, view, pieces) * 1000 >= sum(map(len, pieces)) * INCOMPRESSIBLE_PERMILLE
    # loud samples of sound are nothing to zstd and two thirds of themselves to a filter
    return PLAIN if flat and estimate.is_uneven(pieces[len(pieces) // 2]) else None


def _masked(choice: Choice, view: memoryview, pieces: Sequence[memoryview]) -> Choice:
    """Give planes of records the mask that suits the pieces."""
    wanted = choice.parameters
    if not isinstance(wanted, Filter) or wanted.kind is not TypedFilter.PLANES:
        return choice
    aligned = [transform.to_bytes(_from(piece, view, choice)) for piece in pieces[1:]]
    mask = estimate.mask_of([each for each in aligned if len(each)], wanted.width)
    return msgspec.structs.replace(choice, parameters=msgspec.structs.replace(wanted, mask=mask))


def _leveled(choice: Choice, levels: tuple[int, int]) -> Choice:
    """Give *choice* with the fast level for the streams of filters, and the better one for zstd on what is no text."""
    if isinstance(choice.parameters, tuple):
        pieces = tuple(_leveled(each, levels) for each in choice.parameters)
        return msgspec.structs.replace(choice, level=levels[0], parameters=pieces)
    level = levels[1] if choice.codec is CodecId.ZSTD_CASCADE else levels[0]
    return choice if choice.level in {0, level} else msgspec.structs.replace(choice, level=level)


def survey(view: memoryview, hinted: Sequence[Choice] = ()) -> Choice:
    """Choose for *view*, at least a few KiB; text comes out as `TEXT` itself.

    Args:
        view: What is to be stored, or begins it.
        hinted: Choices that are to be tried however samples look.
    """
    pieces = spread(view, _PIECES, _piece_bytes(view, _PIECE_BYTES), alignment=_ALIGNMENT)
    if estimate.is_text(pieces):
        return TEXT
    plain = estimate.plain_sizes(pieces)
    if not hinted:
        if estimate.is_noise(pieces, plain):
            return PLAIN
        found = order.filter_of(pieces, plain)
        if found is not None:
            return found
    costs = _costs(view, pieces, plain)
    size = sum(map(len, pieces))
    totals = {choice: sum(each) for choice, each in costs.items()}
    best = min(totals, key=totals.__getitem__)
    mixed = sum(map(min, zip(*costs.values(), strict=True)))
    if mixed * 1000 >= size * INCOMPRESSIBLE_PERMILLE:
        return PLAIN
    uneven = best is not ZSTD and max(costs[best]) > _UNEVEN * max(min(costs[best]), _NOTHING)
    if uneven or mixed * 100 < totals[best] * _SEGMENTS_PERCENT:
        winners = [min(costs, key=lambda choice: costs[choice][place]) for place in range(len(pieces))]
        return Choice(CodecId.SEGMENTS, 1, tuple(dict.fromkeys((PLAIN, ZSTD, *winners, *_ranked(totals)))))
    return _closer(view, totals, [_masked(choice, view, pieces[:3]) for choice in hinted])


def _costs(view: memoryview, pieces: Sequence[memoryview], plain: Sequence[int]) -> dict[Choice, list[int]]:
    """Estimate all candidates for one piece, and for others those near its best, or all where they are of another kind.

    Sizes are in the order of the pieces but that those far apart come first.
    """
    order, plain = [*pieces[::2], *pieces[1::2]], [*plain[::2], *plain[1::2]]
    floats = [choice for choice, kind in FLOATS.items() if any(estimate.holds_floats(piece, kind) for piece in order)]
    record = _record(view, pieces)
    candidates = [*CANDIDATES, *floats, *([] if record is None else [record])]
    costs: dict[Choice, list[int]] = {choice: [] for choice in candidates}
    of_a_kind = max(plain) * 100 <= min(plain) * _SAME_PERCENT
    near, bests = set(candidates), list[int]()
    for place, piece in enumerate(order):
        found = {ZSTD: min(len(piece), plain[place])}
        found |= {choice: _cost(choice, piece, view) for choice in near if choice is not ZSTD}
        least = min(found.values())
        alike = any(each * 100 <= least * _NEAR_PERCENT and least * 100 <= each * _NEAR_PERCENT for each in bests)
        if not alike or (place == 1 and not of_a_kind):  # columns may be as small and have nothing in common
            found |= {choice: _cost(choice, piece, view) for choice in candidates if choice not in found}
            least = min(found.values())
            bests.append(least)
            nearer = {choice for choice, cost in found.items() if cost * 100 <= least * _NEARER_PERCENT}
            near = nearer if place == 0 else near | nearer if place == 1 else set(candidates)
        for choice, each in costs.items():
            # never the winner of this piece: it was far from it where it was measured
            each.append(found.get(choice, max(len(piece), least)))
    return costs


def _cost(choice: Choice, piece: memoryview, view: memoryview) -> int:
    """Bytes that *choice* leaves of *piece*; more for pcodec, which is slower to write."""
    size = estimate.size_of(choice, _from(piece, view, choice))
    return size * _WEIGHT_PCO // 100 if isinstance(choice.parameters, Column) else size


def _closer(view: memoryview, totals: Mapping[Choice, int], hinted: Sequence[Choice]) -> Choice:
    """Measure the best few again on larger samples, beside pcodec and what was hinted."""
    ranked = sorted(totals, key=totals.__getitem__)
    candidates = dict.fromkeys((*hinted, *_best(totals)))
    if list(candidates) == [ZSTD]:
        return ZSTD
    candidates[ZSTD] = None
    pieces = spread(view, _CLOSER_PIECES, _piece_bytes(view, _CLOSER_BYTES), alignment=_ALIGNMENT)
    width = _width(ranked, totals)
    if width and ranked[0] is not ZSTD:
        candidates[Choice(CodecId.PCO, 0, estimate.column_of(pieces[1], width))] = None
        if _planes_only(_best(totals)):
            # bytes repeat by their place, differences do not help: the order of the bytes may be the other one
            candidates[_typed(TypedFilter.PACK, width, big_endian=True)] = None
            candidates[_typed(TypedFilter.DELTA_PLANES, width, big_endian=True)] = None
    costs = {choice: _total(choice, view, pieces) * _weight(choice) for choice in candidates}
    best = min(costs, key=costs.__getitem__)
    if best is not ZSTD and costs[best] * 100 > costs[ZSTD] * _CLEARLY_PERCENT:
        # zstd needs room to find matches, which small samples do not have
        middle = trial_sample(view, _ROOM * len(view))
        if min(zstd.trial_size(middle, level, len(view)) for level in _LEVELS) < estimate.size_of(best, middle):
            return ZSTD
    if costs[best] >= sum(map(len, pieces)) * INCOMPRESSIBLE_PERMILLE // 10:
        return PLAIN
    return best


def _ranked(totals: Mapping[Choice, int]) -> list[Choice]:
    return sorted(totals, key=totals.__getitem__)[:_CLOSER_CANDIDATES]


def _best(totals: Mapping[Choice, int]) -> list[Choice]:
    """The few best, none much worse than the best of them."""
    ranked = _ranked(totals)
    return [choice for choice in ranked if totals[choice] * 100 <= totals[ranked[0]] * _HOPEFUL_PERCENT]


def _width(ranked: Sequence[Choice], totals: Mapping[Choice, int]) -> int:
    """Width of the elements that the best filters agree on, the smaller where two do as well; 0: no elements."""
    filters = [choice for choice in ranked if isinstance(choice.parameters, Filter)]
    most = totals[filters[0]] * _TIE_PERCENT
    widths = [choice.parameters.width for choice in filters if totals[choice] * 100 <= most]  # type: ignore[union-attr]
    return min((width for width in widths if width in typed.WIDTHS), default=0)


def _planes_only(ranked: Sequence[Choice]) -> bool:
    filters = [choice.parameters for choice in ranked if isinstance(choice.parameters, Filter)]
    return bool(filters) and filters[0].kind is TypedFilter.PLANES


def _weight(choice: Choice) -> int:
    if isinstance(choice.parameters, Filter):
        if choice.parameters.mask:
            return _WEIGHT_RECORD
        return _WEIGHTS[choice.parameters.kind]
    return _WEIGHT_PCO if isinstance(choice.parameters, Column) else 100


def _record(view: memoryview, pieces: Sequence[memoryview]) -> Choice | None:
    """Find records and which of their planes are better as differences."""
    stride = estimate.stride_of(pieces[1])
    if not stride:
        return None
    return _masked(Choice(CodecId.TYPED, 1, Filter(TypedFilter.PLANES, stride)), view, pieces[:3])


def _from(piece: memoryview, view: memoryview, choice: Choice) -> memoryview:
    """Cut *piece* of *view* so that it starts and ends with a record."""
    if not isinstance(choice.parameters, Filter) or _ALIGNMENT % choice.parameters.width == 0:
        return piece
    width = choice.parameters.width
    place = transform.to_bytes(piece).ctypes.data - transform.to_bytes(view).ctypes.data
    start = -place % width
    return piece[start : start + (len(piece) - start) // width * width]


def _total(choice: Choice, view: memoryview, pieces: Sequence[memoryview]) -> int:
    return sum(estimate.size_of(choice, _from(piece, view, choice)) for piece in pieces)


def _piece_bytes(view: memoryview, wanted: int) -> int:
    share = len(view) // _PIECE_SHARE
    return max(_PIECE_BYTES_MIN, min(wanted, share - share % _ALIGNMENT))
