"""Things that grow old while the store is being crashed: lifecycle rules, and what a pass at some time has to take.

The model here is written from S3's description of the rules, not from `bucketconfig.lifecycle_plan`: a pass whose
decisions differ from it, by what it takes or by what it leaves, fails the run that it is in.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from s4gw.backends import ObjectMeta
from s4gw.backends.base import Upload
from s4gw.backends.embedded.rows import encode_document, encode_meta
from s4gw.bucketconfig import dump_document
from s4gw.bucketconfig.lifecycle import parse_lifecycle

DAY_MS: Final = 10_000
"""Of the clock that the steps turn; a short one is not rounded up to midnight."""
OLD: Final = "old/"
RULES: Final[dict[str, Any]] = {
    "Rules": [
        {"Status": "Enabled", "Filter": {"Prefix": OLD}, "Expiration": {"Days": 1}},
        {"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Status": "Enabled", "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
        {"Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    ]
}
CONFIGS: Final = {"lifecycle": dump_document(parse_lifecycle(RULES))}
META, FACTS = encode_meta(ObjectMeta(owner="o"))


class Kept(NamedTuple):
    """A version as the model knows it."""

    body: bytes | None
    """None for a delete marker."""
    made_ms: int


Objects = dict[str, tuple[Kept, ...]]
"""Versions of each key, newest first."""
Step = tuple[str, str]
"""Key and action, as `lifecycle.Event` names them."""


def upload_document(key: str, upload_id: str, started_ms: int) -> bytes:
    """What the store keeps of an upload."""
    return encode_document(Upload(key=key, upload_id=upload_id, started_ms=started_ms, meta=ObjectMeta(owner="o")))


def add(objects: Objects, key: str, version: Kept, *, versioned: bool) -> Objects:
    """After a put, or (no body) after a delete that names no version."""
    if versioned:
        return {**objects, key: (version, *objects.get(key, ()))}
    left = {other: versions for other, versions in objects.items() if other != key}
    return left if version.body is None else {**left, key: (version,)}


def due(objects: Objects, now_ms: int, *, versioned: bool) -> list[tuple[Step, Objects]]:
    """What a pass does, in order, and what is there after each step."""
    steps: list[tuple[Step, Objects]] = []
    for key in sorted(objects):
        before = objects[key]  # a pass decides by what it has listed
        for number, version in enumerate(before):
            action = _action(key, before, number, now_ms)
            if action == "expire":
                objects = add(objects, key, Kept(None, now_ms), versioned=versioned)
            elif action:
                left = tuple(one for one in objects[key] if one is not version)
                objects = {name: kept for name, kept in {**objects, key: left}.items() if kept}
            if action:
                steps.append(((key, action), objects))
    return steps


def _action(key: str, versions: tuple[Kept, ...], number: int, now_ms: int) -> str:
    version = versions[number]
    if number:
        return "remove" if now_ms >= versions[number - 1].made_ms + DAY_MS else ""
    if version.body is None:
        return "remove marker" if len(versions) == 1 else ""
    return "expire" if key.startswith(OLD) and now_ms >= version.made_ms + DAY_MS else ""
