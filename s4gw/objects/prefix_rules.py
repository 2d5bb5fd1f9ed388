"""Words for prefixes of keys, in one document of a bucket: which dictionary, which hint.

Workers read the document with the bucket, so that a change is seen by the next request (in front of an upstream, as
soon as the bucket is looked up again). The longest prefix of a key decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from s4gw.backends.base import Backend

RULES_MAX: Final = 64
"""Prefixes of a bucket with a word each; an upstream's copy of the document is read up to 128 KiB."""

_DECODER: Final = msgspec.json.Decoder(dict[str, str])


class PrefixRules:
    """One such document of every bucket. Safe for threads.

    Args:
        backend: Keeps the buckets.
        document: Name of the document; JSON, prefix -> word.
    """

    def __init__(self, backend: Backend, document: str) -> None:
        self._backend = backend
        self._document = document

    def find(self, bucket: str, key: str) -> str | None:
        """The word for *key*, by the longest prefix that has one. Raises: S3 errors of looking the bucket up."""
        document = self._backend.get_bucket(bucket).configs.get(self._document)
        if document is None:
            return None
        return next((word for prefix, word in _sorted(document) if key.startswith(prefix)), None)

    def table(self, bucket: str) -> Mapping[str, str]:
        """Prefix -> word, for all prefixes of *bucket* that have one. Raises: NoSuchBucket."""
        return dict(_sorted(self._backend.get_bucket(bucket).configs.get(self._document, b"{}")))

    def put(self, bucket: str, prefix: str, word: str) -> None:
        """Give *prefix* a word, in place of any that it has. Raises: NoSuchBucket; ValueError, for one too many."""
        table = {**self.table(bucket), prefix: word}
        if len(table) > RULES_MAX:
            raise ValueError(f"{bucket}: {RULES_MAX} prefixes have one already")
        self._backend.put_config(bucket, self._document, msgspec.json.encode(table))

    def remove(self, bucket: str, prefix: str) -> bool:
        """Forget the word of *prefix*. Returns: it had one. Raises: NoSuchBucket."""
        table = dict(self.table(bucket))
        if table.pop(prefix, None) is None:
            return False
        self._backend.put_config(bucket, self._document, msgspec.json.encode(table) if table else None)
        return True


@lru_cache(maxsize=256)
def _sorted(document: bytes) -> tuple[tuple[str, str], ...]:
    """The rules of a document, longest prefix first; none where it cannot be read."""
    try:
        table = _DECODER.decode(document)
    except msgspec.MsgspecError:
        return ()
    return tuple(sorted(table.items(), key=lambda rule: (-len(rule[0]), rule[0])))
