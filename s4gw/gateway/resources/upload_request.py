"""What an upload says about itself in headers: metadata, tags, ACL, digests, preconditions.

Shared by PutObject, PostObject, CopyObject and the multipart operations, so that each header means the same in all.
Headers that promise what is not done yet are refused, never ignored; encryption has been asked about before.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from s4gw.auth import PayloadMode
from s4gw.backends.base import NO_CONDITIONS, Conditions, ObjectMeta
from s4gw.bucketconfig import object_lock, tagging
from s4gw.checksum import Algorithm
from s4gw.gateway.resources import grants
from s4gw.objects import DEFAULT_ALGORITHM, PLAIN, DigestPlan, Expected
from s4gw.s3 import checksums, headers
from s4gw.s3.errors import (
    InvalidRequest,
    InvalidStorageClass,
    XAmzContentSHA256Mismatch,
)

if TYPE_CHECKING:
    from s4gw.gateway.request import S3Request

STORAGE_CLASSES: Final = frozenset(
    {"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}
)
"""Classes whose objects can be read at once; they are kept and shown, and stored alike."""
FORWARDED_PREFIXES: Final = (
    "x-amz-acl",
    "x-amz-grant-",
    "x-amz-object-lock-",
    "x-amz-request-payer",
)
"""Headers of an upload that an upstream is given instead of being acted upon here."""


SAYS_NOTHING: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "connection",
        "content-length",
        "date",
        "expect",
        "host",
        "transfer-encoding",
        "user-agent",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-decoded-content-length",
        "x-amz-expected-bucket-owner",
        "x-amz-user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
    }
)
"""Headers that nothing in this module is about. PERF: most uploads have no others, and those are then a plain body."""


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def telling(sent: Mapping[str, str]) -> Mapping[str, str]:
    """What of *sent* may say something about the object, its digests or preconditions; in the same order."""
    if SAYS_NOTHING.issuperset(sent):
        return _NOTHING
    return {name: value for name, value in sent.items() if name not in SAYS_NOTHING}


def lock_of(req: S3Request, sent: Mapping[str, str]) -> object_lock.ObjectLock | None:
    """The lock that the upload asks for. Raises: InvalidArgument; InvalidRequest, where none is possible."""
    lock = object_lock.parse_headers(sent, int(req.services.clock() * 1000))
    if lock is not None and grants.bucket_of(req).object_lock is None:
        raise InvalidRequest("Bucket is missing Object Lock Configuration", BucketName=req.bucket)
    return lock


def storage_class_of(sent: Mapping[str, str]) -> str:
    """The storage class to show. Raises: InvalidStorageClass."""
    wanted = sent.get("x-amz-storage-class", "STANDARD")
    if wanted not in STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=wanted)
    return wanted


def meta_of(req: S3Request, sent: Mapping[str, str] | None = None) -> ObjectMeta:
    """Metadata of the object that *req* uploads.

    Args:
        req: The request; its principal becomes the owner.
        sent: Header-like fields, lower-case; the request's own headers when left out (a POST form brings its own).

    Raises: MetadataTooLarge, InvalidTag, InvalidStorageClass, NotImplemented, AccessControlListNotSupported ...
    """
    fields = telling(req.header_map) if sent is None else sent
    if req.services.upstream is not None:
        return _upstream_meta(req, fields)
    owner, acl = grants.object_owner_and_acl(req, fields)
    if not fields:
        return ObjectMeta(owner=owner, acl=acl, forwarded=req.encryption.told)
    return ObjectMeta(
        owner=owner,
        headers=headers.system_from(fields),
        metadata=headers.metadata_from(fields),
        tags=tagging.parse_header(fields["x-amz-tagging"]) if fields.get("x-amz-tagging") else {},
        acl=acl,
        storage_class=storage_class_of(fields),
        forwarded=req.encryption.told,
        lock=lock_of(req, fields),
    )


def _upstream_meta(req: S3Request, fields: Mapping[str, str]) -> ObjectMeta:
    """As `meta_of`, where an upstream keeps the object: what it can do better is its to do, or to refuse."""
    return ObjectMeta(
        owner=grants.bucket_of(req).owner,
        headers=headers.system_from(fields),
        metadata=headers.metadata_from(fields),
        tags=tagging.parse_header(fields["x-amz-tagging"]) if fields.get("x-amz-tagging") else {},
        storage_class=fields.get("x-amz-storage-class", "STANDARD"),
        forwarded=forwarded_from(req, fields),
    )


def forwarded_from(req: S3Request, fields: Mapping[str, str]) -> dict[str, str]:
    """What an upstream is to be told about an object that is written, encryption included."""
    return {name: value for name, value in fields.items() if name.startswith(FORWARDED_PREFIXES)} | req.encryption.told


def digest_plan(
    req: S3Request, default: Algorithm = DEFAULT_ALGORITHM, *, fields: Mapping[str, str] | None = None
) -> DigestPlan:
    """Digests that the body of *req* must have, and the checksum to keep.

    Args:
        req: The request.
        default: Checksum to keep where the client names none.
        fields: Stand in for the request's headers: fields of a form, or what `telling` leaves of the headers.

    Raises: InvalidDigest, InvalidRequest (malformed, unknown or several checksums).
    """
    said = telling(req.header_map) if fields is None else fields
    payload = req.identity.payload
    if not said and payload.mode is not PayloadMode.SIGNED:
        return PLAIN if default is DEFAULT_ALGORITHM else DigestPlan(kept=(default,))
    declared = checksums.declared(said)
    expected: list[Expected] = []
    if declared.md5 is not None:
        expected.append(Expected(Algorithm.MD5, declared.md5))
    if declared.algorithm is not None and declared.value is not None:
        expected.append(Expected(declared.algorithm, declared.value))
    if payload.mode is PayloadMode.SIGNED and payload.sha256 is not None:
        expected.append(Expected(Algorithm.SHA256, bytes.fromhex(payload.sha256), XAmzContentSHA256Mismatch))
    return DigestPlan(
        kept=(declared.algorithm or default,),
        expected=tuple(expected),
        trailer=declared.algorithm if declared.in_trailer else None,
    )


def write_conditions(sent: Mapping[str, str]) -> Conditions:
    """If-Match and If-None-Match of a write."""
    match, none_match = sent.get("if-match"), sent.get("if-none-match")
    if match is None and none_match is None:
        return NO_CONDITIONS
    return Conditions(
        if_match=None if match is None else match.strip().strip('"'),
        if_none_match=None if none_match is None else none_match.strip().strip('"'),
    )
