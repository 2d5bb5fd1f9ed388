"""An object's facts as an upstream keeps them: system headers, user metadata, tags, and keys that start with ``s4-``.

The client's metadata stand beside ours. Clients never see ``s4-*`` and cannot set it. What S4 defines is written as S4
writes it (``s4-codec``, ``s4-original-size``, ``s4-compressed-size``, ``s4-crc32c``, ``s4-framed``,
``s4-logical-etag``); of our own are

    s4-frames         number of frames                 s4-checksum       ALGORITHM=base64[,...]
    s4-parts          number of parts, multipart only  s4-checksum-type  FULL_OBJECT or COMPOSITE
    s4-escaped        "true": values that begin with "=?" are RFC 2047 encoded words of ours
    s4-header-<name>  a system header that cannot be sent as it is
    s4-write          random mark of one conditional write

S3 allows 2 KiB of metadata. Where ours no longer fit beside the client's, only ``s4-framed`` is written and all else is
in the body's trailer, as it is for bodies whose upload began before they were known. A body is *complete* in its
metadata when size and ETag stand there.

Pure: values in boto3's shapes in and out. Sizes in bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from s4gw.backends.base import NULL_VERSION, ObjectMeta
from s4gw.checksum import Algorithm
from s4gw.codec import BodyKind, classify, split_metadata
from s4gw.codec import s4_metadata as s4
from s4gw.s3 import http_date, iso8601, parse_http_date
from s4gw.s3.errors import MetadataTooLarge
from s4gw.s3.headers import METADATA_BYTES_MAX, without_aws_chunked

FRAMES: Final = "s4-frames"
PARTS: Final = "s4-parts"
CHECKSUM: Final = "s4-checksum"
CHECKSUM_TYPE: Final = "s4-checksum-type"
ESCAPED: Final = "s4-escaped"
WRITE_MARK: Final = "s4-write"
ENCRYPTED: Final = "s4-encrypted"
_HEADER: Final = "s4-header-"
_TRUE: Final = "true"

CONTENT_TYPE_DEFAULT: Final = "binary/octet-stream"
"""S3's own for objects without one; servers differ in theirs, so it is always said."""

PARAMETERS: Final[Mapping[str, str]] = {
    "content-type": "ContentType",
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "expires": "Expires",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
}
"""System header -> boto3's parameter."""

FORWARDED: Final[Mapping[str, str]] = {
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSEKMSKeyId",
    "x-amz-server-side-encryption-context": "SSEKMSEncryptionContext",
    "x-amz-server-side-encryption-bucket-key-enabled": "BucketKeyEnabled",
    "x-amz-object-lock-mode": "ObjectLockMode",
    "x-amz-object-lock-retain-until-date": "ObjectLockRetainUntilDate",
    "x-amz-object-lock-legal-hold": "ObjectLockLegalHoldStatus",
    "x-amz-acl": "ACL",
    "x-amz-grant-full-control": "GrantFullControl",
    "x-amz-grant-read": "GrantRead",
    "x-amz-grant-read-acp": "GrantReadACP",
    "x-amz-grant-write-acp": "GrantWriteACP",
    "x-amz-request-payer": "RequestPayer",
}
"""Header of a write that the upstream carries out -> boto3's parameter."""

TOLD: Final[Mapping[str, str]] = {
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
    "BucketKeyEnabled": "x-amz-server-side-encryption-bucket-key-enabled",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "Expiration": "x-amz-expiration",
    "Restore": "x-amz-restore",
    "ReplicationStatus": "x-amz-replication-status",
    "ArchiveStatus": "x-amz-archive-status",
    "RequestCharged": "x-amz-request-charged",
}
"""Field of the upstream's answers -> header that the client is told as well."""

_PLAIN: Final = re.compile(r"(?!=\?)[!-~](?:[ -~]*[!-~])?")
"""What goes through every server as it is; some drop headers without a value."""
_WORD: Final = re.compile(r"=\?(UTF-8|ISO-8859-1)\?B\?([A-Za-z0-9+/=]*)\?=")


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished body is, beside its `ObjectMeta`."""

    size: int
    """Of the original."""
    etag: str
    """Of the original, without quotes."""
    stored_size: int


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream's GET or HEAD says about an object, read."""

    meta: ObjectMeta
    """As far as metadata tell; the owner is not among it."""
    kind: BodyKind
    size: int | None
    """Of the original; None when only the body knows."""
    etag: str | None
    """Of the original; None when only the body knows."""
    stored_size: int
    upstream_etag: str
    """Without quotes."""
    version_id: str
    modified_ms: int
    tag_count: int
    foreign: bool = False
    """Framed by S4 rather than by us: no trailer, perhaps a sidecar, perhaps paddings."""
    parted: bool = False
    """By S4, of parts that are a frame each."""
    encrypted: bool = False
    """An S4E envelope lies around the body."""
    write_mark: str = ""

    @property
    def complete(self) -> bool:
        """Nothing about the original has to be looked up in the body."""
        return self.kind is not BodyKind.FRAMED or (self.size is not None and self.etag is not None)


# -- to the upstream --------------------------------------------------------------------------------------------------
def parameters(meta: ObjectMeta, facts: Facts | None = None, *, mark: str = "", plain: bool = False) -> dict[str, Any]:
    """Say *meta* in boto3's parameters of PutObject, CopyObject and CreateMultipartUpload.

    Args:
        meta: Of the object; its owner and ACL are the upstream's business and are left out.
        facts: Of the body; None while they are not known, then the body must have a trailer.
        mark: Of a conditional write.
        plain: The body is an object that no gateway wrote; nothing is said about it.

    Raises: MetadataTooLarge.
    """
    metadata, params = _client(meta, mark)
    if facts is not None and _size(metadata) + _size(ours := _ours(meta, facts)) <= METADATA_BYTES_MAX:
        metadata.update(ours)
    elif (meta.framed or facts is None) and not plain:
        metadata[s4.FRAMED] = _TRUE
    size = _size(metadata)
    if size > METADATA_BYTES_MAX:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(METADATA_BYTES_MAX))
    params["Metadata"] = metadata
    if meta.storage_class != "STANDARD":
        params["StorageClass"] = meta.storage_class
    if meta.tags:
        params["Tagging"] = urlencode(meta.tags, quote_via=quote)
    params.update(forwarded(meta.forwarded))
    return params


def fits(meta: ObjectMeta, facts: Facts, *, mark: str = "") -> bool:
    """Whether the metadata can hold all facts; otherwise the body needs a trailer."""
    metadata, _ = _client(meta, mark)
    return _size(metadata) + _size(_ours(meta, facts)) <= METADATA_BYTES_MAX


def forwarded(headers: Mapping[str, str]) -> dict[str, Any]:
    """Headers that the upstream carries out, as boto3's parameters."""
    params: dict[str, Any] = {}
    for header, name in FORWARDED.items():
        value = headers.get(header)
        if value is not None:
            params[name] = value.lower() == _TRUE if name == "BucketKeyEnabled" else value
    return params


def _client(meta: ObjectMeta, mark: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The client's own: metadata, and the parameters of its system headers."""
    metadata, params = _headers(meta)
    for name, value in meta.metadata.items():
        if not name.startswith(s4.PREFIX):
            metadata[name] = value if _PLAIN.fullmatch(value) else _escape(value, metadata)
    if mark:
        metadata[WRITE_MARK] = mark
    return metadata, params


def _headers(meta: ObjectMeta) -> tuple[dict[str, str], dict[str, Any]]:
    """System headers: (metadata of those that cannot be sent as they are, parameters of the others)."""
    metadata: dict[str, str] = {}
    params: dict[str, Any] = {"ContentType": CONTENT_TYPE_DEFAULT}
    for header, name in PARAMETERS.items():
        value = meta.headers.get(header)
        if value is None:
            continue
        when = parse_http_date(value) if header == "expires" else None
        if _PLAIN.fullmatch(value) and (header != "expires" or (when is not None and http_date(when) == value)):
            params[name] = value if when is None else when
        else:
            metadata[_HEADER + header] = _escape(value, metadata)
    return metadata, params


def _ours(meta: ObjectMeta, facts: Facts) -> dict[str, str]:
    found = {
        s4.CODEC: meta.codec,
        s4.ORIGINAL_SIZE: str(facts.size),
        s4.COMPRESSED_SIZE: str(facts.stored_size),
        s4.LOGICAL_ETAG: facts.etag,
    }
    if meta.crc32c is not None:
        found[s4.CRC32C] = str(meta.crc32c)
    if meta.framed:
        found[s4.FRAMED] = _TRUE
        if meta.frames:
            found[FRAMES] = str(meta.frames)
        elif meta.parts:
            found[s4.MULTIPART] = _TRUE  # S4's, a frame for each part
    if meta.parts:
        found[PARTS] = str(meta.parts)
    if meta.checksums:
        found[CHECKSUM] = ",".join(f"{name}={value}" for name, value in meta.checksums.items())
        found[CHECKSUM_TYPE] = meta.checksum_type
    if meta.dictionary:
        found[s4.DICTIONARY_ID] = meta.dictionary
    return found


def _size(metadata: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) for name, value in metadata.items())


def _escape(value: str, metadata: dict[str, str]) -> str:
    """Make an encoded word of *value* (a header as WSGI gives it: a byte a character), and say so in *metadata*."""
    metadata[ESCAPED] = _TRUE
    raw = value.encode("latin-1")
    try:
        raw.decode()
        charset = "UTF-8"
    except UnicodeDecodeError:
        charset = "ISO-8859-1"
    return f"=?{charset}?B?{base64.b64encode(raw).decode()}?="


# -- from the upstream ------------------------------------------------------------------------------------------------
def read(response: Mapping[str, Any], stored_size: int) -> Stored:
    """Read the answer to GET or HEAD.

    Args:
        response: boto3's output of GetObject or HeadObject.
        stored_size: Bytes of the whole stored object: ContentLength of a HEAD, else from ContentRange.
    """
    everything = {name.lower(): value for name, value in (response.get("Metadata") or {}).items()}
    ours, client = split_metadata(everything)
    escaped = ours.get(ESCAPED) == _TRUE
    if escaped:
        client = {name: _unescape(value) for name, value in client.items()}
    upstream_etag = str(response.get("ETag", "")).strip('"')
    body = classify(ours)
    framed = body.kind is BodyKind.FRAMED
    foreign = framed and FRAMES not in ours and bool(ours.keys() & _ONLY_S4)
    parted = foreign and ours.get(s4.MULTIPART) == _TRUE
    size: int | None = stored_size
    etag: str | None = upstream_etag
    if body.kind is not BodyKind.PLAIN:
        size, etag = _number(ours, s4.ORIGINAL_SIZE), ours.get(s4.LOGICAL_ETAG)
        if etag is None and (foreign or not framed):  # S4 gives none then; the upstream's is as good as any
            etag = upstream_etag
    checksums = dict(item.split("=", 1) for item in ours.get(CHECKSUM, "").split(",") if "=" in item)
    checksum_type = ours.get(CHECKSUM_TYPE, "FULL_OBJECT")
    if body.kind is BodyKind.PLAIN:  # those that the upstream was given with it
        checksums = {name: str(response[field]) for name, field in _CHECKSUMS.items() if response.get(field)}
        checksum_type = str(response.get("ChecksumType") or "FULL_OBJECT")
    crc32c = _number(ours, s4.CRC32C)
    meta = ObjectMeta(
        headers=_system_headers(response, ours if escaped else {}),
        metadata=client,
        storage_class=str(response.get("StorageClass") or "STANDARD"),
        checksums=checksums,
        checksum_type=checksum_type if checksums else "",
        framed=framed,
        frames=_number(ours, FRAMES) or 0 if framed else 0,
        codec=ours.get(s4.CODEC, "passthrough") if body.kind is not BodyKind.PLAIN else "passthrough",
        crc32c=crc32c if body.kind is not BodyKind.PLAIN else None,
        parts=_number(ours, PARTS) or (_parts_in(etag or "") if parted or body.kind is BodyKind.PLAIN else 0),
        dictionary=ours.get(s4.DICTIONARY_ID, ""),
        forwarded=told(response),
    )
    modified = response.get("LastModified")
    return Stored(
        meta=meta,
        kind=body.kind,
        size=size,
        etag=etag,
        stored_size=stored_size,
        upstream_etag=upstream_etag,
        version_id=str(response.get("VersionId") or NULL_VERSION),
        modified_ms=int(modified.timestamp() * 1000) if isinstance(modified, datetime) else 0,
        tag_count=int(response.get("TagCount") or 0),
        foreign=foreign,
        parted=parted,
        encrypted=ENCRYPTED in ours,
        write_mark=ours.get(WRITE_MARK, ""),
    )


_CHECKSUMS: Final = {algorithm.value: f"Checksum{algorithm.value}" for algorithm in Algorithm}
_ONLY_S4: Final = frozenset({s4.MULTIPART, s4.CODEC})
"""Keys that, without the number of frames, tell S4's framed bodies from ours."""


def _system_headers(response: Mapping[str, Any], ours: Mapping[str, str]) -> dict[str, str]:
    """System headers, as the client sent them."""
    found: dict[str, str] = {}
    for header, name in PARAMETERS.items():
        value = response.get("ExpiresString") or response.get(name) if name == "Expires" else response.get(name)
        kept = ours.get(_HEADER + header)
        if kept is not None:
            found[header] = _unescape(kept)
        elif isinstance(value, datetime):
            found[header] = http_date(value)
        elif value:
            found[header] = str(value)
    if found.get("content-type") == CONTENT_TYPE_DEFAULT:
        del found["content-type"]
    encoding = found.pop("content-encoding", "")
    if kept_encoding := without_aws_chunked(encoding):
        found["content-encoding"] = kept_encoding
    return found


def told(response: Mapping[str, Any]) -> dict[str, str]:
    """What an answer tells of the upstream's own doing, as headers for the client."""
    found: dict[str, str] = {}
    if TOLD.keys().isdisjoint(response):  # PERF: as of most objects
        return found
    for name, header in TOLD.items():
        value = response.get(name)
        if isinstance(value, datetime):
            found[header] = iso8601(value)
        elif value:
            found[header] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def _parts_in(etag: str) -> int:
    """Parts that a multipart ETag speaks of."""
    count = etag.rpartition("-")[2]
    return int(count) if "-" in etag and count.isascii() and count.isdigit() and len(count) <= len("10000") else 0


def _number(ours: Mapping[str, str], name: str) -> int | None:
    text = ours.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(2**64)) else None


def _unescape(value: str) -> str:
    """Undo `_escape`; what is no encoded word of ours comes back as it is."""
    word = _WORD.fullmatch(value)
    if word is None:
        return value
    try:
        return base64.b64decode(word[2], validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        return value
