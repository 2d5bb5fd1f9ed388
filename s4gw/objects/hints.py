"""Hints: what somebody who knows says that bytes are, for one object or for all under a prefix; see `s4gw.codec.hint`.

A client says it of an object, by user metadata; an operator of a bucket or a prefix of it, by ``s4gw hint``. The
object's own word counts. Either is tried and never trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from s4gw.backends.base import Backend, ObjectMeta
from s4gw.codec import HINTED_BYTES_MIN, is_hint
from s4gw.objects.prefix_rules import PrefixRules

METADATA: Final = "s4gw-type"
"""User metadata of an object; kept and shown like any other."""
DOCUMENT: Final = "s4-hints"
"""Document of a bucket: JSON, prefix -> hint."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A hint, and who gave it: "object" or "bucket"."""

    word: str
    origin: str

    def __str__(self) -> str:
        """For logs and people."""
        return f"{self.word}, the {self.origin}'s"


class Hints:
    """The hints of one backend's buckets and objects. Safe for threads."""

    def __init__(self, backend: Backend) -> None:
        self.rules = PrefixRules(backend, DOCUMENT)

    def find(self, bucket: str, key: str, meta: ObjectMeta, size: int | None) -> Hint | None:
        """The hint that counts for an object of *size* bytes (None: unknown), if it is large enough for one to matter.

        Raises: S3 errors of looking the bucket up.
        """
        if size is not None and size < HINTED_BYTES_MIN:
            return None
        word = meta.metadata.get(METADATA)
        if word is not None:
            return Hint(word, "object")
        word = self.rules.find(bucket, key)
        return None if word is None else Hint(word, "bucket")

    def put(self, bucket: str, prefix: str, word: str) -> None:
        """Say of everything under *prefix* what it is, from now on.

        Raises: NoSuchBucket; ValueError, for a word that is no hint or a prefix too many.
        """
        if not is_hint(word):
            raise ValueError(f"{word!r} is no hint: u16 to u64, i16 to i64, f32, f64, record:2 to record:64, text, raw")
        self.rules.put(bucket, prefix, word)
