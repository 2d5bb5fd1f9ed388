"""``s4gw inspect``: what a stored body is made of: frames, codecs, ratios, and the state of its trailer.

Only headers and the trailer are read; ``s4gw cat`` checks the payloads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from s4gw.codec import (
    FRAME_HEADER_SIZE,
    CodecError,
    FrameHeader,
    FrameIndex,
    Manifest,
    NoTrailer,
    Padding,
    TrailerError,
    describe,
    read_sidecar,
)
from s4gw.tools import stored
from s4gw.tools.stored import SourceError, Stored

if TYPE_CHECKING:
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
DAMAGE: Final = 1
MISUSE: Final = 2
SIDECAR_BYTES_MAX: Final = 600 * 1024**2  # as S4's own repair tool reads


class FrameLine(msgspec.Struct, frozen=True):
    """One frame of the report. Sizes and offset in bytes, stored ones with the header."""

    number: int
    offset: int
    codec: str
    original_size: int
    stored_size: int
    ratio: float
    detail: str = ""
    """Parameters of the codec, where it has any."""


class TrailerReport(msgspec.Struct, frozen=True):
    """State of the trailer: "sound", "none" or "damaged"."""

    state: str
    stored_size: int = 0
    reason: str = ""
    manifest: Manifest | None = None


class SidecarReport(msgspec.Struct, frozen=True):
    """The object that an index of S4 describes. Sizes in bytes."""

    framed_size: int
    stored_size: int | None
    etag: str | None
    encrypted: bool


class CodecReport(msgspec.Struct):
    """Sums over the frames of one codec."""

    frames: int = 0
    original_size: int = 0
    stored_size: int = 0


class Report(msgspec.Struct):
    """Everything about one body; `kind` is "framed", "raw", "plain", or what else of S4 it is."""

    source: str
    kind: str
    stored_size: int
    original_size: int = 0
    ratio: float = 1.0
    padding_size: int = 0
    frames: list[FrameLine] = []
    codecs: dict[str, CodecReport] = {}
    trailer: TrailerReport = TrailerReport("none")
    damage: str = ""
    describes: SidecarReport | None = None
    dictionary: str = ""
    """Name of the dictionary that it needs."""
    hint: str = ""
    """What is said of it now, and by whom; the codecs say what came of it."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "inspect",
        help="show frames, codecs and ratio of a stored object or file",
        description="Show what a stored body is made of. Reads headers only; cat checks the payloads.",
    )
    stored.add_source(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Returns: 0; 1 for damage; 2 for misuse. Raises: OSError."""
    try:
        with stored.open_source(arguments) as source:
            report = survey(source, arguments)
    except SourceError as error:
        print(f"s4gw inspect: {error}", file=sys.stderr)
        return MISUSE
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        print("\n".join(_lines(report)))
    if report.damage:
        print(f"s4gw inspect: {arguments.source}: {report.damage}", file=sys.stderr)
    return DAMAGE if report.damage or report.trailer.state == "damaged" else OK


def survey(source: Stored, arguments: argparse.Namespace) -> Report:
    """Find out all that the headers and the trailer say; damage ends up in the report."""
    codec = stored.raw_codec(arguments)
    framed = source.framed and codec is None
    kind = "framed" if framed else "plain" if codec is None else "raw"
    report = Report(source=arguments.source, kind=kind, stored_size=source.size, dictionary=source.dictionary_name)
    report.hint = source.hint
    try:
        if codec is None and source.is_sidecar:
            _survey_sidecar(source, report)
        elif codec is None and source.envelope:
            report.kind = f"encrypted, {source.envelope}"
        elif framed:
            _survey_frames(source, report)
        else:
            report.original_size = sum(map(len, stored.raw(source, codec))) if codec is not None else source.size
    except CodecError as error:
        report.damage = str(error)
    report.ratio = _ratio(report.original_size, report.stored_size)
    return report


def _survey_frames(source: Stored, report: Report) -> None:
    index, last = FrameIndex(), None
    for site in stored.sites(source):
        last = header = site.header
        if not isinstance(header, FrameHeader):
            report.padding_size += header.stored_size
            continue
        original, kept, label = header.original_size, header.stored_size, header.codec.label
        detail = describe(header.codec, _payload_reader(source, site.offset + FRAME_HEADER_SIZE, header.payload_size))
        ratio = _ratio(original, kept)
        report.frames.append(FrameLine(len(report.frames), site.offset, label, original, kept, ratio, detail))
        index.append(original, kept)
        report.original_size += original
        totals = report.codecs.setdefault(label, CodecReport())
        totals.frames += 1
        totals.original_size += original
        totals.stored_size += kept
    if isinstance(last, Padding):
        report.trailer = _trailer(source, index)


def _survey_sidecar(source: Stored, report: Report) -> None:
    """S4's index object: the frames that it promises, and the object that it belongs to."""
    if source.size > SIDECAR_BYTES_MAX:
        raise CodecError(f"an index object of {source.size} bytes")
    sidecar = read_sidecar(source.read(0, source.size))
    report.kind = f"index of S4, version {sidecar.version}"
    report.original_size = sidecar.original_size
    report.describes = SidecarReport(
        sidecar.framed_size, sidecar.source_size, sidecar.source_etag, encrypted=sidecar.encryption is not None
    )
    for number in range(len(sidecar)):
        entry = sidecar.entry(number)
        ratio = _ratio(entry.original_size, entry.stored_size)
        report.frames.append(FrameLine(number, entry.stored_start, "", entry.original_size, entry.stored_size, ratio))


def _payload_reader(source: Stored, base: int, size: int) -> Callable[[int, int], bytes]:
    return lambda start, end: source.read(base + start, base + min(end, size))


def _trailer(source: Stored, index: FrameIndex) -> TrailerReport:
    try:
        trailer = stored.find_trailer(source)
    except NoTrailer:
        return TrailerReport("none")
    except TrailerError as error:
        return TrailerReport("damaged", reason=str(error))
    if trailer.index != index:
        return TrailerReport("damaged", trailer.stored_size, "its index is not that of the frames")
    return TrailerReport("sound", trailer.stored_size, manifest=trailer.manifest)


def _ratio(original: int, kept: int) -> float:
    return round(original / kept, 2) if kept else 1.0


def _lines(report: Report) -> Iterator[str]:
    """The report as a table."""
    if report.frames:
        yield f"{'frame':>8}  {'codec':<14}{'original':>14}{'stored':>14}{'ratio':>9}"
    for line in report.frames:
        detail = f"  {line.detail}" if line.detail else ""
        sizes = f"{line.original_size:>14}{line.stored_size:>14}{line.ratio:>9.2f}"
        yield f"{line.number:>8}  {line.codec:<14}{sizes}{detail}"
    for label, totals in sorted(report.codecs.items()):
        share = _ratio(totals.original_size, totals.stored_size)
        yield (f"{totals.frames:>8}x {label:<14}{totals.original_size:>14}{totals.stored_size:>14}{share:>9.2f}")
    yield f"{'total':>8}  {report.kind:<14}{report.original_size:>14}{report.stored_size:>14}{report.ratio:>9.2f}"
    if report.describes is not None:
        about = report.describes
        yield f"of an object of {about.stored_size or about.framed_size} bytes, ETag {about.etag or 'unknown'}"
        return
    if report.dictionary:
        yield f"dictionary: {report.dictionary}"
    if report.hint:
        yield f"hint: {report.hint}"
    yield f"padding: {report.padding_size} bytes" if report.padding_size else "padding: none"
    yield from _trailer_lines(report.trailer)


def _trailer_lines(trailer: TrailerReport) -> Iterator[str]:
    facts = f", {trailer.stored_size} bytes" if trailer.stored_size else ""
    yield f"trailer: {trailer.state}{facts}{f': {trailer.reason}' if trailer.reason else ''}"
    manifest = trailer.manifest
    if manifest is None:
        return
    shown: dict[str, Any] = {
        "etag": manifest.etag,
        "crc32c": None if manifest.crc32c is None else f"{manifest.crc32c:08x}",
        "checksums": " ".join(f"{name}={value}" for name, value in manifest.checksums.items()),
        "checksum type": manifest.checksum_type,
        "parts": len(manifest.parts),
    }
    for name, value in shown.items():
        if value:
            yield f"  {name}: {value}"
