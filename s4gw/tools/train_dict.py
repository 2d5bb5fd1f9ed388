"""``s4gw train-dict``: make a zstd dictionary for small objects, and write a prefix with it from now on.

Small objects of one kind repeat each other, not themselves; a dictionary holds what they share. It is trained on most
of the samples and judged on the others, which it has never seen; one that does not pay is not installed. A running
gateway uses it from the next request on. Objects that need it name it, so nothing that is stored depends on the rule.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from s4gw.codec import LEVEL_DEFAULT, Choice, CodecId, TooFewSamples, encode_frame, train_dictionary
from s4gw.tools import places
from s4gw.tools.bench import size as parse_size
from s4gw.tools.places import PlaceError

if TYPE_CHECKING:
    from s4gw.backends.base import Backend
    from s4gw.tools.parsers import Subparsers

OK: Final = 0
NOT_WORTH_IT: Final = 1
MISUSE: Final = 2
SIZE_DEFAULT: Final = 16 * 1024
SIZE_MAX: Final = 112 * 1024
SAMPLES_DEFAULT: Final = 2000
SAMPLE_BYTES_MAX: Final = 64 * 1024
LISTED_MAX: Final = 100_000
"""Keys that are looked at to choose samples from."""
HELD_OUT: Final = 5
"""One in so many samples judges instead of training."""
GAIN_MIN_PERCENT: Final = 3
_T = TypeVar("_T")


class TrainError(Exception):
    """The command line cannot be meant."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "train-dict",
        help="make a dictionary for small objects under a prefix",
        description="Train a zstd dictionary on small objects and write everything of up to 64 KiB under a prefix with "
        "it, where that is smaller. The gateway may be running; it needs no restart.",
    )
    parser.add_argument(
        "source", metavar="s3://BUCKET/PREFIX|FOLDER", help="objects to learn from; files of a folder with --for"
    )
    places.add_data_dir(parser)
    parser.add_argument("--for", dest="target", metavar="s3://BUCKET/PREFIX", help="where to use it (the source)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the dictionary to a file, install nothing")
    parser.add_argument("--size", type=parse_size, default=SIZE_DEFAULT, metavar="N", help="bytes of it (16K)")
    parser.add_argument(
        "--samples", type=int, default=SAMPLES_DEFAULT, metavar="N", help="objects to learn from (2000)"
    )
    parser.add_argument("--force", action="store_true", help="install it even if it hardly pays")
    parser.add_argument("--list", action="store_true", help="show the prefixes of the bucket that have a dictionary")
    parser.add_argument(
        "--forget", action="store_true", help="write the prefix without a dictionary again; stored objects still read"
    )
    places.add_upstream(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, judge, install. Returns: 0; 1 if it does not pay; 2 for misuse. Raises: OSError, SettingsError."""
    try:
        return _rules(arguments) if arguments.list or arguments.forget else _train(arguments)
    except (TrainError, PlaceError, TooFewSamples) as error:
        print(f"s4gw train-dict: {error}", file=sys.stderr)
        return MISUSE


def _train(arguments: argparse.Namespace) -> int:
    _check(arguments)
    learned, judged = _split(_samples(arguments))
    dictionary = train_dictionary(learned, arguments.size)
    plain, small, original = (sum(sizes) for sizes in zip(*(_sizes(each, dictionary) for each in judged), strict=True))
    print(
        f"{len(learned)} samples learned; {len(judged)} others, {original // len(judged)} bytes on average: "
        f"{original / plain:.2f}x without, {original / small:.2f}x with {len(dictionary)} bytes of dictionary"
    )
    if small * 100 > plain * (100 - GAIN_MIN_PERCENT) and not arguments.force:
        print(f"s4gw train-dict: it saves less than {GAIN_MIN_PERCENT} %: not installed", file=sys.stderr)
        return NOT_WORTH_IT
    if arguments.out is not None:
        arguments.out.write_bytes(dictionary)
        return OK
    bucket, prefix = places.parse(arguments.target or arguments.source)
    with places.opened(arguments, bucket) as backend:
        from s4gw.objects import Dictionaries

        try:
            name = Dictionaries(backend).install(bucket, prefix, dictionary)
        except ValueError as error:
            raise TrainError(str(error)) from error
    print(f"{name}: in use for {places.SCHEME}{bucket}/{prefix} from now on")
    return OK


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be meant before anything is read. Raises: TrainError, PlaceError."""
    if not 256 <= arguments.size <= SIZE_MAX:  # noqa: PLR2004 - zstd's own least size
        raise TrainError(f"--size: a dictionary of 256 to {SIZE_MAX} bytes")
    if not arguments.source.startswith(places.SCHEME) and arguments.target is None and arguments.out is None:
        raise TrainError("a folder needs --for s3://BUCKET/PREFIX, or --out FILE")
    if arguments.out is None:
        places.parse(arguments.target or arguments.source)


def _rules(arguments: argparse.Namespace) -> int:
    bucket, prefix = places.parse(arguments.source)
    with places.opened(arguments, bucket) as backend:
        from s4gw.objects import Dictionaries

        dictionaries = Dictionaries(backend)
        if arguments.list:
            for each, name in sorted(dictionaries.table(bucket).items()):
                print(f"{name}  {places.SCHEME}{bucket}/{each}")
            return OK
        if not dictionaries.forget(bucket, prefix):
            print(f"s4gw train-dict: {places.SCHEME}{bucket}/{prefix} has no dictionary", file=sys.stderr)
            return NOT_WORTH_IT
    return OK


def _samples(arguments: argparse.Namespace) -> list[bytes]:
    if not arguments.source.startswith(places.SCHEME):
        return _files(Path(arguments.source), arguments.samples)
    bucket, prefix = places.parse(arguments.source)
    with places.opened(arguments, bucket) as backend:
        return _objects(backend, bucket, prefix, arguments.samples)


def _files(folder: Path, count: int) -> list[bytes]:
    """Small files below *folder*. Raises: OSError."""
    folder.stat()  # a folder that is not there is an error, not an empty one
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and 0 < path.stat().st_size <= SAMPLE_BYTES_MAX)
    return [path.read_bytes() for path in _chosen(paths, count)]


def _objects(backend: Backend, bucket: str, prefix: str, count: int) -> list[bytes]:
    """Originals of small objects under *prefix*."""
    from s4gw.codec import SamplingDispatcher
    from s4gw.objects import Objects
    from s4gw.s3.errors import NoSuchKey

    found: list[str] = []
    after = ""
    while len(found) < LISTED_MAX:
        page = backend.list_objects(bucket, prefix=prefix, after=after)
        found += [each.key for each in page.objects if 0 < each.size <= SAMPLE_BYTES_MAX]
        if not page.truncated:
            break
        after = page.next_key
    objects = Objects(backend, SamplingDispatcher())
    try:
        samples = []
        for key in _chosen(found, count):
            with suppress(NoSuchKey):  # it was deleted meanwhile
                each = backend.head_object(bucket, key)
                samples.append(b"".join(objects.read(bucket, each, 0, each.size)))
        return samples
    finally:
        objects.close()


def _chosen(found: list[_T], count: int) -> list[_T]:
    """At most *count* of *found*, evenly spread."""
    return found if len(found) <= count else [found[number * len(found) // count] for number in range(count)]


def _split(samples: list[bytes]) -> tuple[list[bytes], Sequence[bytes]]:
    """Samples to learn from, and others to judge by. Raises: TrainError."""
    judged = samples[::HELD_OUT]
    learned = [sample for number, sample in enumerate(samples) if number % HELD_OUT]
    if len(learned) < 2 * HELD_OUT:
        raise TrainError(f"{len(samples)} objects of up to 64 KiB are too few to learn from")
    return learned, judged


def _sizes(original: bytes, dictionary: bytes) -> tuple[int, int, int]:
    """Stored bytes without, and as they will be with it: the smaller of both; and of the original."""
    from s4gw.objects import dictionary_choice

    plain = encode_frame(original, Choice(CodecId.CPU_ZSTD, LEVEL_DEFAULT[CodecId.CPU_ZSTD])).stored_size
    helped = encode_frame(original, dictionary_choice(len(original)), dictionary=dictionary)
    return plain, min(plain, helped.stored_size), len(original)
