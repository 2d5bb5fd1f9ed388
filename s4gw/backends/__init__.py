"""Where stored bytes end up: the backend port and what implements it."""

from s4gw.backends.base import (
    NO_CONDITIONS,
    NULL_VERSION,
    Backend,
    BucketInfo,
    Conditions,
    Deleted,
    DeleteTarget,
    ListPage,
    ObjectMeta,
    PartInfo,
    StoredObject,
    Upload,
    UploadPage,
    Versioning,
)
from s4gw.backends.bodies import Buffer, ObjectChanged, Span, Writer
from s4gw.backends.embedded import EmbeddedBackend
from s4gw.backends.memory import MemoryBackend
from s4gw.backends.near import read_all

__all__ = [
    "NO_CONDITIONS",
    "NULL_VERSION",
    "Backend",
    "BucketInfo",
    "Buffer",
    "Conditions",
    "DeleteTarget",
    "Deleted",
    "EmbeddedBackend",
    "ListPage",
    "MemoryBackend",
    "ObjectChanged",
    "ObjectMeta",
    "PartInfo",
    "Span",
    "StoredObject",
    "Upload",
    "UploadPage",
    "Versioning",
    "Writer",
    "read_all",
]
