"""zstd dictionaries of a bucket: which prefix is written with which, and where their bytes are.

A dictionary is named by the first 16 hex digits of its SHA-256, so a name never goes stale; it is never removed, since
objects need it. Where the gateway itself keeps the buckets, it lies among a bucket's documents: nothing that clients or
rules do to objects reaches it. In buckets of S4 it is the object ``.s4dict/<name>``. Another document says which prefix
is written with which dictionary; workers read it with the bucket, so that a change is seen by the next request.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from s4gw.backends.base import Backend, StoredObject
from s4gw.codec import DICTIONARY_BYTES_MAX
from s4gw.objects.errors import DamagedObject
from s4gw.s3.errors import NoSuchKey

PREFIX: Final = ".s4dict/"
TABLE: Final = "s4-dictionaries"
"""Document of a bucket: JSON, prefix -> name."""
DOCUMENT: Final = "s4-dictionary-"
"""Beginning of the names of the documents that are dictionaries."""
OBJECT_BYTES_MAX: Final = 64 * 1024
"""Larger objects gain nothing from a dictionary, and from 256 KiB they lose (40-codecs, section 4)."""
KEPT_MAX: Final = 16
"""As many as S4 keeps; 16 MiB at most."""
RULES_MAX: Final = 64
"""Prefixes of a bucket; each may bring a dictionary of its own."""

_NAME: Final = re.compile("[0-9a-f]{16}")
_TABLE_DECODER: Final = msgspec.json.Decoder(dict[str, str])

DictionaryOf = Callable[[int], bytes]
"""Gives the dictionary that a frame names; an object has one, whatever number its frames give it."""


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A dictionary to write with."""

    name: str
    data: bytes


class Dictionaries:
    """The dictionaries of one backend. Safe for threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def of(self, bucket: str, obj: StoredObject) -> DictionaryOf:
        """What decodes the frames of *obj*; fetched when the first frame asks for it."""
        return lambda _number: self._get(bucket, obj.meta.dictionary, obj.key)

    def to_write(self, bucket: str, key: str, size: int | None) -> Dictionary | None:
        """The dictionary that *key* is to be tried with, by the longest prefix that has one.

        Args:
            bucket: Its bucket.
            key: The object.
            size: Bytes of the original, None when nobody knows.

        Raises: S3 errors of looking the bucket up. A dictionary that is missing is not used, and fails no write.
        """
        if size is not None and not 0 < size <= OBJECT_BYTES_MAX:
            return None
        document = self._backend.get_bucket(bucket).configs.get(TABLE)
        if document is None:
            return None
        for prefix, name in _rules(document):
            if key.startswith(prefix):
                try:
                    return Dictionary(name, self._get(bucket, name, key))
                except DamagedObject:
                    return None
        return None

    def table(self, bucket: str) -> Mapping[str, str]:
        """Prefix -> name, for all prefixes of *bucket* that are written with a dictionary. Raises: NoSuchBucket."""
        return dict(_rules(self._backend.get_bucket(bucket).configs.get(TABLE, b"{}")))

    def install(self, bucket: str, prefix: str, data: bytes) -> str:
        """Keep *data* and write what comes under *prefix* with it from now on. Returns: its name.

        Raises: NoSuchBucket; ValueError, for a dictionary of the wrong size or a prefix too many.
        """
        if not 0 < len(data) <= DICTIONARY_BYTES_MAX:
            raise ValueError(f"a dictionary has 1 to {DICTIONARY_BYTES_MAX} bytes")
        name = hashlib.sha256(data).hexdigest()[:16]
        table = {**self.table(bucket), prefix: name}
        if len(table) > RULES_MAX:
            raise ValueError(f"{bucket}: {RULES_MAX} prefixes have a dictionary already")
        self._backend.put_config(bucket, DOCUMENT + name, data)  # first: a rule must not name what is not there
        self._backend.put_config(bucket, TABLE, msgspec.json.encode(table))
        return name

    def forget(self, bucket: str, prefix: str) -> bool:
        """Write what comes under *prefix* without; what is stored still reads. Returns: there was a rule.

        Raises: NoSuchBucket.
        """
        table = dict(self.table(bucket))
        if table.pop(prefix, None) is None:
            return False
        self._backend.put_config(bucket, TABLE, msgspec.json.encode(table) if table else None)
        return True

    def carry(self, source_bucket: str, source: StoredObject, bucket: str) -> None:
        """Let *bucket* read a copy of the stored bytes of *source*, which lies in another one.

        Raises: DamagedObject, if the dictionary of *source* is not there; S3 errors.
        """
        name = source.meta.dictionary
        if not name or source_bucket == bucket:
            return
        data = self._get(source_bucket, name, source.key)
        if DOCUMENT + name not in self._backend.get_bucket(bucket).configs:
            self._backend.put_config(bucket, DOCUMENT + name, data)

    def _get(self, bucket: str, name: str, key: str) -> bytes:
        """Raises: DamagedObject, when there is no such dictionary, or its bytes are not what its name says."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        if _NAME.fullmatch(name) is None:
            raise DamagedObject(key, "name of the dictionary")
        data = self._backend.get_bucket(bucket).configs.get(DOCUMENT + name) or self._from_object(bucket, name, key)
        if hashlib.sha256(data).hexdigest()[: len(name)] != name:
            raise DamagedObject(key, f"dictionary {name} is damaged")
        with self._lock:
            self._kept[name] = data
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return data

    def _from_object(self, bucket: str, name: str, key: str) -> bytes:
        """As S4 keeps it."""
        try:
            found = self._backend.head_object(bucket, PREFIX + name)
        except NoSuchKey as error:
            raise DamagedObject(key, f"dictionary {name} is missing") from error
        if found.delete_marker or not 0 < found.stored_size <= DICTIONARY_BYTES_MAX:
            raise DamagedObject(key, f"dictionary {name} is missing")
        return self._backend.read(found, 0, found.stored_size)


@lru_cache(maxsize=256)
def _rules(document: bytes) -> tuple[tuple[str, str], ...]:
    """The rules of a table, longest prefix first; none where it cannot be read."""
    try:
        table = _TABLE_DECODER.decode(document)
    except msgspec.MsgspecError:
        return ()
    return tuple(sorted(table.items(), key=lambda rule: (-len(rule[0]), rule[0])))
