"""Objects looked up for a request, once: by authorization where they decide who may, else by the responder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from s4gw.gateway.request import Place, S3Request
from s4gw.s3.errors import NoSuchBucket, NoSuchKey, NoSuchVersion

if TYPE_CHECKING:
    from s4gw.backends.base import StoredObject


def looked_up(req: S3Request, bucket: str, key: str, version_id: str | None = None) -> StoredObject | None:
    """The object as authorization saw it, when it had to look; None when it had not, or when there is none."""
    return req.looked_up.get(Place(bucket, key, version_id))


def look_at(look: Callable[[str, str, str | None], StoredObject], place: Place) -> StoredObject | None:
    """The object; None when there is none, or a delete marker."""
    try:
        obj = look(place.bucket, place.key, place.version_id)
    except (NoSuchBucket, NoSuchKey, NoSuchVersion):
        return None
    return None if obj.delete_marker else obj
