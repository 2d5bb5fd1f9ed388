"""Running digests of one body, and what the client said that they must be.

Each byte is hashed once per algorithm. MD5 (the ETag) is always there; the client's checksum, or CRC-64/NVME where it
named none (as S3 does), is kept with the object; SHA-256 runs only for signed payloads. MD5 is by far the slowest, so
it forms a lane of its own that may run beside the other ones.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from s4gw import checksum
from s4gw.backends.bodies import Buffer
from s4gw.checksum import Algorithm
from s4gw.s3 import checksums
from s4gw.s3.errors import BadDigest, S3Error

DEFAULT_ALGORITHM: Final = Algorithm.CRC64NVME


class Expected(msgspec.Struct, frozen=True):
    """A digest that the client declared before the body; *error* is what S3 answers when it does not hold."""

    algorithm: Algorithm
    value: bytes
    error: type[S3Error] = BadDigest


class DigestPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to compute of a body, what must hold, and what to keep.

    Attributes:
        kept: Checksum algorithms stored with the object or part, the most important one first.
        expected: Digests declared in headers.
        trailer: Algorithm whose value arrives after the body, in the trailer named by `checksum.HEADER`.
    """

    kept: tuple[Algorithm, ...] = (DEFAULT_ALGORITHM,)
    expected: tuple[Expected, ...] = ()
    trailer: Algorithm | None = None

    def algorithms(self) -> Collection[Algorithm]:
        """Every algorithm that has to run beside MD5, once."""
        wanted = {*self.kept, *(item.algorithm for item in self.expected)}
        if self.trailer is not None:
            wanted.add(self.trailer)
        wanted.discard(Algorithm.MD5)
        return wanted

    def keeping(self, algorithm: Algorithm) -> DigestPlan:
        """The same plan, and *algorithm* is kept as well."""
        return msgspec.structs.replace(self, kept=(*self.kept, algorithm))

    def stored(self, digests: Mapping[Algorithm, bytes]) -> dict[str, str]:
        """The checksums to keep, in S3's spelling, base64."""
        return {str(algorithm): checksum.b64(digests[algorithm]) for algorithm in self.kept}

    def of_whole(self, data: Buffer) -> dict[Algorithm, bytes]:
        """The digests of *data*, which is the whole body; still to be checked."""
        if self is PLAIN:
            return {DEFAULT_ALGORITHM: _DEFAULT_OF(data), Algorithm.MD5: _MD5_OF(data)}
        values = {algorithm: checksum.of_whole(algorithm, data) for algorithm in self.algorithms()}
        values[Algorithm.MD5] = _MD5_OF(data)
        return values

    def check(self, values: Mapping[Algorithm, bytes], trailers: Mapping[str, str]) -> None:
        """Compare the digests of the whole body with all that the client declared.

        Raises: BadDigest and the classes named in `Expected`; MalformedTrailerError when a promised trailer is missing.
        """
        for item in self.expected:
            if item.error is BadDigest:
                checksums.check_digest(item.algorithm, item.value, values[item.algorithm])
            elif not hmac.compare_digest(item.value, values[item.algorithm]):
                raise item.error
        if self.trailer is not None:
            promise = checksums.Declared(algorithm=self.trailer, in_trailer=True)
            sent = checksums.from_trailer(promise, trailers)
            if sent is not None:
                checksums.check_digest(self.trailer, sent, values[self.trailer])


PLAIN: Final = DigestPlan()
"""Nothing was declared."""
_DEFAULT_OF: Final = checksum.whole(DEFAULT_ALGORITHM)
_MD5_OF: Final = checksum.whole(Algorithm.MD5)


class Digests:
    """The running digests of one body, in two lanes that may be fed by two threads (each lane in order)."""

    def __init__(self, plan: DigestPlan) -> None:
        self._plan = plan
        self._md5 = checksum.new(Algorithm.MD5)
        others = {algorithm: checksum.new(algorithm) for algorithm in plan.algorithms()}
        self._others = list(others.values())
        self._running = {Algorithm.MD5: self._md5, **others}

    def update_md5(self, data: Buffer) -> None:
        """Feed the slow lane."""
        self._md5.update(data)

    def update_others(self, data: Buffer) -> None:
        """Feed the fast lane."""
        for digest in self._others:
            digest.update(data)

    def finish(self, trailers: Mapping[str, str]) -> dict[Algorithm, bytes]:
        """Give the digests after the last byte, checked as by `DigestPlan.check`."""
        values = {algorithm: digest.digest() for algorithm, digest in self._running.items()}
        self._plan.check(values, trailers)
        return values
