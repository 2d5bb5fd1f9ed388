"""zstd dictionaries that frames need: plain objects of the same bucket, named by the start of their SHA-256.

S4 keeps them as ``.s4dict/<16 hex digits>``. A few are kept in memory; their name is their content's, so they never
grow stale.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from s4gw.backends.base import Backend, StoredObject
from s4gw.objects.errors import DamagedObject
from s4gw.s3.errors import NoSuchKey

PREFIX: Final = ".s4dict/"
DICTIONARY_BYTES_MAX: Final = 1024 * 1024
"""S4's bound."""
KEPT_MAX: Final = 16
"""As many as S4 keeps; 16 MiB at most."""

_NAME: Final = re.compile("[0-9a-f]{16}")

DictionaryOf = Callable[[int], bytes]
"""Gives the dictionary that a frame names; an object has one, whatever number its frames give it."""


class Dictionaries:
    """The dictionaries of one backend. Safe for threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def of(self, bucket: str, obj: StoredObject) -> DictionaryOf:
        """What decodes the frames of *obj*; fetched when the first frame asks for it."""
        return lambda _number: self._get(bucket, obj)

    def _get(self, bucket: str, obj: StoredObject) -> bytes:
        """Raises: DamagedObject, when there is no such dictionary, or its bytes are not what its name says."""
        name = obj.meta.dictionary
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        if _NAME.fullmatch(name) is None:
            raise DamagedObject(obj.key, "name of the dictionary")
        try:
            found = self._backend.head_object(bucket, PREFIX + name)
        except NoSuchKey as error:
            raise DamagedObject(obj.key, f"dictionary {name} is missing") from error
        if found.delete_marker or not 0 < found.stored_size <= DICTIONARY_BYTES_MAX:
            raise DamagedObject(obj.key, f"dictionary {name} is missing")
        data = self._backend.read(found, 0, found.stored_size)
        if hashlib.sha256(data).hexdigest()[: len(name)] != name:
            raise DamagedObject(obj.key, f"dictionary {name} is damaged")
        with self._lock:
            self._kept[name] = data
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return data
