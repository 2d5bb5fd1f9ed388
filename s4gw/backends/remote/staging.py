"""Where an upload in progress lies upstream, and what the names of its objects say.

    .s4gw/uploads/ID                          the upload is in progress; body: JSON of `UploadRecord`
    .s4gw/mpu/ID/parts/NNNNN-PARTID-FACTS     a part; FACTS are its `PartFacts`, body: the part as it is stored
    .s4gw/mpu/ID/data/DATAID                  stored bytes of a large part; the body of its entry under parts/ is then
                                              its frame index, unless FACTS hold that too
    .s4gw/mpu/ID/intent/HASH                  a Complete is under way; JSON of `Intent`
    .s4gw/mpu/ID/done                         what the upload became; JSON of `Done`

One listing of ``.s4gw/mpu/ID/`` tells all there is to know of the parts. NNNNN is the part's number; PARTID the time it
arrived, in nanoseconds since the epoch as 16 hex digits, and 8 random ones; of several entries of a number, the one
written last counts. FACTS are msgpack in URL-safe base64, cut by ``/`` after every `COMPONENT_CHARACTERS`, as servers
that keep keys as file names allow 255 bytes between slashes.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s4gw.backends.base import ObjectMeta, PartInfo, Upload
from s4gw.backends.remote.reserved import OWN_PREFIX
from s4gw.s3.errors import NoSuchUpload

UPLOADS_PREFIX: Final = f"{OWN_PREFIX}uploads/"
STAGED_PREFIX: Final = f"{OWN_PREFIX}mpu/"
KEY_BYTES_MAX: Final = 1024
"""Source: S3 user guide, "Object key naming guidelines"."""
COMPONENT_CHARACTERS: Final = 200
REMEMBER_DONE_MS: Final = 24 * 3600 * 1000
"""As long as a client may plausibly repeat a Complete."""

_UPLOAD_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PART_NAME: Final = re.compile(r"([0-9]{5})-([0-9a-f]{24})-([A-Za-z0-9_/-]+)")


class UploadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the client said when it started the upload."""

    upload: Upload
    created_ns: int
    """By the gateway's clock; orders uploads that began in the same millisecond."""


class PartFacts(msgspec.Struct, frozen=True, array_like=True):
    """A part, beside its number and id."""

    size: int
    etag: str
    crc32c: int
    codec: str
    checksums: dict[str, str]
    frames: bytes | None
    """None: too long for a name."""
    data_id: str = ""
    """Names the object with the stored bytes; empty: this one."""
    data_etag: str = ""
    """The upstream's, of that other object, without quotes."""
    stored_size: int = 0
    """Of that other object."""


class StagedPart(msgspec.Struct, frozen=True):
    """A part as the listing tells it."""

    number: int
    part_id: str
    facts: PartFacts
    key: str
    """Of the entry."""
    etag: str
    """Of the entry, the upstream's."""
    order: tuple[int, str]
    """Grows with the time of writing."""
    stored_size: int

    def info(self, frames: bytes) -> PartInfo:
        """As the port tells it."""
        facts = self.facts
        return PartInfo(
            number=self.number,
            part_id=self.part_id,
            size=facts.size,
            etag=facts.etag,
            stored_size=self.stored_size,
            modified_ms=arrived_ms(self.part_id),
            checksums=facts.checksums,
            crc32c=facts.crc32c,
            frames=frames,
            codec=facts.codec,
        )


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A Complete that goes by an upload of the upstream's: whoever finds it joins in."""

    key: str
    """Of the object."""
    upstream_id: str


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The object that an upload became."""

    key: str
    version_id: str
    size: int
    etag: str
    stored_size: int
    modified_ms: int
    meta: ObjectMeta
    upstream_etag: str
    """Without quotes."""


def check_upload_id(upload_id: str) -> None:
    """SECURITY: ids come from clients and become parts of keys. Raises: NoSuchUpload."""
    if _UPLOAD_ID.fullmatch(upload_id) is None:
        raise NoSuchUpload(UploadId=upload_id[:256])


def record_key(upload_id: str) -> str:
    """Key of an upload's record. Raises: NoSuchUpload."""
    check_upload_id(upload_id)
    return UPLOADS_PREFIX + upload_id


def staged_prefix(upload_id: str) -> str:
    """What all other objects of an upload lie under. Raises: NoSuchUpload."""
    check_upload_id(upload_id)
    return f"{STAGED_PREFIX}{upload_id}/"


def done_key(upload_id: str) -> str:
    """Key of what an upload became. Raises: NoSuchUpload."""
    return f"{staged_prefix(upload_id)}done"


def data_key(upload_id: str, data_id: str) -> str:
    """Key of a large part's stored bytes. Raises: NoSuchUpload."""
    return f"{staged_prefix(upload_id)}data/{data_id}"


def intent_key(upload_id: str, digest: str) -> str:
    """Key of a Complete that is under way; *digest* says what it makes of which parts. Raises: NoSuchUpload."""
    return f"{staged_prefix(upload_id)}intent/{digest}"


def is_intent(key: str) -> bool:
    """Tell whether *key* names an intent."""
    return key.startswith(STAGED_PREFIX) and "/intent/" in key


def upload_of(key: str) -> str:
    """The upload that an object of ours belongs to; empty for other keys."""
    for prefix in (UPLOADS_PREFIX, STAGED_PREFIX):
        if key.startswith(prefix):
            return key.removeprefix(prefix).partition("/")[0]
    return ""


def new_part_id() -> str:
    """Name a part that has just arrived."""
    return f"{time.time_ns():016x}{secrets.token_hex(4)}"


def arrived_ms(part_id: str) -> int:
    """When the part arrived."""
    return int(part_id[:16], 16) // 1_000_000


def part_key(upload_id: str, number: int, part_id: str, facts: PartFacts) -> str | None:
    """Key of a part's entry; None when the facts are too long for one."""
    text = base64.urlsafe_b64encode(msgspec.msgpack.encode(facts)).decode().rstrip("=")
    name = f"{number:05}-{part_id}-{text}"
    cut = "/".join(name[start : start + COMPONENT_CHARACTERS] for start in range(0, len(name), COMPONENT_CHARACTERS))
    key = f"{staged_prefix(upload_id)}parts/{cut}"
    return key if len(key) <= KEY_BYTES_MAX else None


def parts_after(upload_id: str, number: int) -> str:
    """A key between the entries of part *number* and those of the next."""
    return f"{staged_prefix(upload_id)}parts/{number:05}."


def staged_part(upload_id: str, item: Mapping[str, Any]) -> StagedPart | None:
    """Read one line of a listing; None for what is no entry of a part."""
    key = str(item["Key"])
    prefix = f"{staged_prefix(upload_id)}parts/"
    found = _PART_NAME.fullmatch(key.removeprefix(prefix).replace("/", "")) if key.startswith(prefix) else None
    if found is None:
        return None
    text = found[3]
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        facts = msgspec.msgpack.decode(raw, type=PartFacts)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return None
    modified = item.get("LastModified")
    return StagedPart(
        number=int(found[1]),
        part_id=found[2],
        facts=facts,
        key=key,
        etag=str(item.get("ETag") or "").strip('"'),
        # a part that is sent again may come through another gateway, whose clock differs; the upstream's decides
        order=(int(modified.timestamp()) if modified is not None else 0, found[2]),
        stored_size=facts.stored_size if facts.data_id else int(item.get("Size") or 0),
    )
