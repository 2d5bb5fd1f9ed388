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
from typing import Final

from s4gw.backends.base import Backend, StoredObject
from s4gw.codec import DICTIONARY_BYTES_MAX, LEVEL_DEFAULT, Choice, CodecId
from s4gw.objects.errors import DamagedObject
from s4gw.objects.prefix_rules import PrefixRules
from s4gw.s3.errors import NoSuchKey

PREFIX: Final = ".s4dict/"
TABLE: Final = "s4-dictionaries"
"""Document of a bucket: JSON, prefix -> name."""
DOCUMENT: Final = "s4-dictionary-"
"""Beginning of the names of the documents that are dictionaries."""
OBJECT_BYTES_MAX: Final = 64 * 1024
"""Larger objects gain nothing from a dictionary, and from 256 KiB they lose."""
_SMALL_BYTES: Final = 16 * 1024
_LEVEL_SMALL: Final = 7  # of zstd: lines of 1 to 16 KiB take 1 to 18 % less than with 3, for 10 to 200 us more
KEPT_MAX: Final = 16
"""As many as S4 keeps; 16 MiB at most."""

_NAME: Final = re.compile("[0-9a-f]{16}")


def dictionary_choice(size: int) -> Choice:
    """How an object of *size* bytes is written with a dictionary."""
    codec = CodecId.CPU_ZSTD_DICT
    return Choice(codec, _LEVEL_SMALL if size <= _SMALL_BYTES else LEVEL_DEFAULT[codec])


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
        self._rules = PrefixRules(backend, TABLE)
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
        name = self._rules.find(bucket, key)
        if name is None:
            return None
        try:
            return Dictionary(name, self._get(bucket, name, key))
        except DamagedObject:
            return None

    def table(self, bucket: str) -> Mapping[str, str]:
        """Prefix -> name, for all prefixes of *bucket* that are written with a dictionary. Raises: NoSuchBucket."""
        return self._rules.table(bucket)

    def install(self, bucket: str, prefix: str, data: bytes) -> str:
        """Keep *data* and write what comes under *prefix* with it from now on. Returns: its name.

        Raises: NoSuchBucket; ValueError, for a dictionary of the wrong size or a prefix too many.
        """
        if not 0 < len(data) <= DICTIONARY_BYTES_MAX:
            raise ValueError(f"a dictionary has 1 to {DICTIONARY_BYTES_MAX} bytes")
        name = hashlib.sha256(data).hexdigest()[:16]
        # first: a rule must not name what is not there
        self._backend.put_config(bucket, DOCUMENT + name, data)
        self._rules.put(bucket, prefix, name)
        return name

    def forget(self, bucket: str, prefix: str) -> bool:
        """Write what comes under *prefix* without; what is stored still reads. Returns: there was a rule.

        Raises: NoSuchBucket.
        """
        return self._rules.remove(bucket, prefix)

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
        return bytes(self._backend.read(found, 0, found.stored_size))
