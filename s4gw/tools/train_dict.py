"""``s4gw train-dict``: make a zstd dictionary for small objects, and write a prefix with it from now on.

Small objects of one kind repeat each other, not themselves; a dictionary holds what they share. It is trained on most
of the samples and judged on the others, which it has never seen; one that does not pay is not installed. A running
gateway uses it from the next request on. Objects that need it name it, so nothing that is stored depends on the rule.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from s4gw import settings as settings_module
from s4gw.codec import LEVEL_DEFAULT, Choice, CodecId, TooFewSamples, encode_frame, train_dictionary
from s4gw.settings import UPSTREAM_FLAGS
from s4gw.tools.bench import size as parse_size

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
_SCHEME: Final = "s3://"
_STAMP: Final = "FORMAT"
_UPSTREAM_FLAGS: Final = (
    *((flag, metavar, text) for flag, metavar, text in UPSTREAM_FLAGS if flag != "--listing"),
    ("--region", "NAME", "of the gateway (us-east-1)"),
)
_UPSTREAM_NAMES: Final = frozenset(row[0].removeprefix("--").replace("-", "_") for row in _UPSTREAM_FLAGS)
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
    parser.add_argument("--data-dir", type=Path, help="data directory of the gateway that keeps the bucket itself")
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
    for flag, metavar, text in _UPSTREAM_FLAGS:
        parser.add_argument(flag, metavar=metavar, help=text)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, judge, install. Returns: 0; 1 if it does not pay; 2 for misuse. Raises: OSError, SettingsError."""
    try:
        return _rules(arguments) if arguments.list or arguments.forget else _train(arguments)
    except (TrainError, TooFewSamples) as error:
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
    bucket, prefix = _place(arguments.target or arguments.source)
    with _backend(arguments, bucket) as backend:
        from s4gw.objects import Dictionaries

        try:
            name = Dictionaries(backend).install(bucket, prefix, dictionary)
        except ValueError as error:
            raise TrainError(str(error)) from error
    print(f"{name}: in use for {_SCHEME}{bucket}/{prefix} from now on")
    return OK


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be meant before anything is read. Raises: TrainError."""
    if not 256 <= arguments.size <= SIZE_MAX:  # noqa: PLR2004 - zstd's own least size
        raise TrainError(f"--size: a dictionary of 256 to {SIZE_MAX} bytes")
    if not arguments.source.startswith(_SCHEME) and arguments.target is None and arguments.out is None:
        raise TrainError("a folder needs --for s3://BUCKET/PREFIX, or --out FILE")
    if arguments.out is None:
        _place(arguments.target or arguments.source)


def _rules(arguments: argparse.Namespace) -> int:
    bucket, prefix = _place(arguments.source)
    with _backend(arguments, bucket) as backend:
        from s4gw.objects import Dictionaries

        dictionaries = Dictionaries(backend)
        if arguments.list:
            for each, name in sorted(dictionaries.table(bucket).items()):
                print(f"{name}  {_SCHEME}{bucket}/{each}")
            return OK
        if not dictionaries.forget(bucket, prefix):
            print(f"s4gw train-dict: {_SCHEME}{bucket}/{prefix} has no dictionary", file=sys.stderr)
            return NOT_WORTH_IT
    return OK


def _place(text: str) -> tuple[str, str]:
    """Bucket and prefix. Raises: TrainError."""
    bucket, _, prefix = text.removeprefix(_SCHEME).partition("/")
    if not text.startswith(_SCHEME) or not bucket:
        raise TrainError(f"{text}: write {_SCHEME}BUCKET/PREFIX")
    return bucket, prefix


@contextmanager
def _backend(arguments: argparse.Namespace, bucket: str) -> Iterator[Backend]:
    """Where the bucket is, once it is sure that it is there. Raises: TrainError, SettingsError."""
    from s4gw.s3.errors import S3Error  # late: only this needs the backends and their libraries

    backend = _opened(arguments)
    try:
        backend.get_bucket(bucket)
        yield backend
    except S3Error as error:
        raise TrainError(f"{_SCHEME}{bucket}: {error.text}") from error
    finally:
        backend.close()


def _opened(arguments: argparse.Namespace) -> Backend:
    if arguments.data_dir is not None:
        from s4gw.backends import EmbeddedBackend
        from s4gw.store import StoreError

        if not (arguments.data_dir / _STAMP).is_file():
            raise TrainError(f"{arguments.data_dir} is no data directory")
        try:
            return EmbeddedBackend(arguments.data_dir)
        except StoreError as error:
            raise TrainError(str(error)) from error
    from s4gw import wsgi
    from s4gw.backends import remote

    given = {name: value for name, value in vars(arguments).items() if name in _UPSTREAM_NAMES}
    settings = settings_module.load(argparse.Namespace(**given), os.environ)
    if settings.endpoint_url is None:
        raise TrainError("--data-dir or --endpoint-url says where the bucket is")
    upstream = remote.Upstream(wsgi.upstream_settings(settings, settings.endpoint_url))
    return remote.RemoteBackend(upstream, owner="", region=settings.region)


def _samples(arguments: argparse.Namespace) -> list[bytes]:
    if not arguments.source.startswith(_SCHEME):
        return _files(Path(arguments.source), arguments.samples)
    bucket, prefix = _place(arguments.source)
    with _backend(arguments, bucket) as backend:
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
    plain = encode_frame(original, Choice(CodecId.CPU_ZSTD, LEVEL_DEFAULT[CodecId.CPU_ZSTD])).stored_size
    with_it = Choice(CodecId.CPU_ZSTD_DICT, LEVEL_DEFAULT[CodecId.CPU_ZSTD_DICT])
    return plain, min(plain, encode_frame(original, with_it, dictionary=dictionary).stored_size), len(original)
