"""Where stored bytes end up: the backend port and what implements it."""

from s4gw.backends.base import (
    NO_CONDITIONS,
    NULL_VERSION,
    Backend,
    BucketInfo,
    Buffer,
    Completed,
    Conditions,
    Deleted,
    DeleteTarget,
    ListPage,
    ObjectChanged,
    ObjectMeta,
    PartInfo,
    StoredObject,
    Upload,
    UploadPage,
    Versioning,
    Writer,
    read_all,
)
from s4gw.backends.embedded import EmbeddedBackend
from s4gw.backends.memory import MemoryBackend

__all__ = [
    "NO_CONDITIONS",
    "NULL_VERSION",
    "Backend",
    "BucketInfo",
    "Buffer",
    "Completed",
    "Conditions",
    "DeleteTarget",
    "Deleted",
    "EmbeddedBackend",
    "ListPage",
    "MemoryBackend",
    "ObjectChanged",
    "ObjectMeta",
    "PartInfo",
    "StoredObject",
    "Upload",
    "UploadPage",
    "Versioning",
    "Writer",
    "read_all",
]
