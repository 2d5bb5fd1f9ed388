"""Lifecycle configuration of a bucket: checked in full when it is stored, read as `Rule`s when it is applied.

What the embedded store cannot do, moving objects to another storage class, is refused when it is asked for.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from s4gw.bucketconfig import tagging
from s4gw.bucketconfig.documents import dump_document, load_document
from s4gw.s3 import parse_iso8601
from s4gw.s3.errors import InvalidArgument, InvalidRequest, MalformedXML
from s4gw.s3.errors import NotImplemented as S3NotImplemented

RULES_MAX: Final = 1000
ID_CHARS_MAX: Final = 255
NEWER_VERSIONS_MAX: Final = 100
_ACTIONS: Final = ("Expiration", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
_TRANSITIONS: Final = ("Transitions", "NoncurrentVersionTransitions")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that is enabled; an action it does not have is None."""

    id: str
    prefix: str = ""
    tags: Mapping[str, str] = {}
    """All of them."""
    larger: int | None = None
    """Bytes; objects have more."""
    smaller: int | None = None
    """Bytes; objects have less."""
    days: int | None = None
    """Current versions expire so many days after they were made."""
    date_ms: int | None = None
    """Current versions expire from this time on."""
    markers: bool = False
    """Delete markers go when nothing is behind them."""
    noncurrent_days: int | None = None
    """Noncurrent versions go so many days after they became that."""
    newer_versions: int = 0
    """So many of the newest noncurrent versions stay."""
    abort_days: int | None = None
    """Multipart uploads end so many days after they began."""

    def fits(self, key: str, size: int) -> bool:
        """Whether the rule is about an object of this key and size, tags aside."""
        return (
            key.startswith(self.prefix)
            and (self.larger is None or size > self.larger)
            and (self.smaller is None or size < self.smaller)
        )

    def fits_tags(self, tags: Mapping[str, str]) -> bool:
        """Whether an object has every tag that the rule asks for."""
        return all(tags.get(name) == value for name, value in self.tags.items())


def parse_lifecycle(document: Mapping[str, Any]) -> dict[str, Any]:
    """Check a boto3-shaped LifecycleConfiguration.

    Returns: the document to keep, in which every rule has an ID.
    Raises: MalformedXML, InvalidArgument, InvalidRequest, InvalidTag, NotImplemented (transitions).
    """
    given = document.get("Rules") or []
    if not 1 <= len(given) <= RULES_MAX:
        raise MalformedXML
    rules = [{**rule, "ID": rule.get("ID") or _made_id(number, rule)} for number, rule in enumerate(given)]
    for rule in rules:
        _rule(rule)
    ids = {rule["ID"] for rule in rules}
    if len(ids) != len(rules):
        raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule", ArgumentName="ID")
    return {"Rules": rules}


def stored_lifecycle(configs: Mapping[str, bytes]) -> tuple[Rule, ...]:
    """The rules that are enabled by a bucket's stored documents."""
    stored = configs.get("lifecycle")
    if not stored:
        return ()
    return tuple(_rule(rule) for rule in load_document(stored)["Rules"] if rule["Status"] == "Enabled")


def _made_id(number: int, rule: Mapping[str, Any]) -> str:
    """An ID for a rule that brings none; the same rule in the same place gets the same."""
    return hashlib.sha256(b"%d %b" % (number, dump_document(rule))).hexdigest()[:48]


def _rule(raw: Mapping[str, Any]) -> Rule:
    """Check one rule."""
    if len(raw["ID"]) > ID_CHARS_MAX:
        raise InvalidArgument(f"ID length should not exceed allowed limit of {ID_CHARS_MAX}", ArgumentName="ID")
    if any(raw.get(name) for name in _TRANSITIONS):
        raise S3NotImplemented("Transition rules are not implemented: there is one storage class to keep objects in.")
    if not any(raw.get(name) for name in _ACTIONS):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    chosen = _filter(raw)
    expiration, noncurrent, abort = (raw.get(name) or {} for name in _ACTIONS)
    if (expiration.get("ExpiredObjectDeleteMarker") or abort) and chosen.get("tags"):
        what = "AbortIncompleteMultipartUpload" if abort else "ExpiredObjectDeleteMarker"
        raise InvalidRequest(f"{what} cannot be specified with Tags.")
    if abort and not chosen.keys().isdisjoint(("larger", "smaller")):
        raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with object size filters.")
    return Rule(
        id=raw["ID"],
        **chosen,
        **_expiration(expiration),
        **_noncurrent(noncurrent),
        abort_days=_positive(abort, "DaysAfterInitiation", "AbortIncompleteMultipartUpload") if abort else None,
    )


def _filter(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What the rule is about: the old Prefix, or a Filter with one condition, or with And and several."""
    if ("Prefix" in raw) == ("Filter" in raw):
        raise MalformedXML
    if "Prefix" in raw:
        return {"prefix": raw["Prefix"]}
    # An empty prefix says nothing; some SDKs send one beside the condition that is meant.
    given = {name: value for name, value in (raw["Filter"] or {}).items() if not (name == "Prefix" and not value)}
    if len(given) > 1:
        raise MalformedXML
    conditions = given.get("And") or given
    tags: Sequence[Mapping[str, Any]] = conditions.get("Tags") or ([given["Tag"]] if "Tag" in given else [])
    found: dict[str, Any] = {"prefix": conditions.get("Prefix") or ""}
    if tags:
        if len({tag.get("Key") for tag in tags}) != len(tags):
            raise InvalidRequest("Duplicate Tag Keys are not allowed.")
        found["tags"] = tagging.parse_tag_set(tags, limit=tagging.OBJECT_TAGS_MAX)
    larger, smaller = conditions.get("ObjectSizeGreaterThan"), conditions.get("ObjectSizeLessThan")
    if larger is not None:
        found["larger"] = _at_least(larger, 0, "'ObjectSizeGreaterThan' should be greater than or equal to 0")
    if smaller is not None:
        found["smaller"] = _at_least(smaller, 1, "'ObjectSizeLessThan' should be greater than 0")
    if larger is not None and smaller is not None and larger >= smaller:
        raise InvalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    return found


def _expiration(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given:
        return {}
    if len(given.keys() & {"Days", "Date", "ExpiredObjectDeleteMarker"}) != 1:
        raise MalformedXML
    if "Days" in given:
        return {"days": _positive(given, "Days", "Expiration")}
    if "Date" in given:
        return {"date_ms": _midnight(given["Date"])}
    return {"markers": bool(given["ExpiredObjectDeleteMarker"])}


def _noncurrent(given: Mapping[str, Any]) -> dict[str, Any]:
    if not given:
        return {}
    days = _positive(given, "NoncurrentDays", "NoncurrentVersionExpiration")
    newer = given.get("NewerNoncurrentVersions")
    if newer is not None and not 1 <= newer <= NEWER_VERSIONS_MAX:
        raise InvalidArgument(
            f"'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be between 1 and "
            f"{NEWER_VERSIONS_MAX}",
            ArgumentName="NewerNoncurrentVersions",
            ArgumentValue=str(newer),
        )
    return {"noncurrent_days": days, "newer_versions": newer or 0}


def _positive(given: Mapping[str, Any], name: str, action: str) -> int:
    days = given.get(name)
    if days is None:
        raise MalformedXML
    return _at_least(days, 1, f"'{name}' for {action} action must be a positive integer")


def _at_least(value: int, lowest: int, message: str) -> int:
    if value < lowest:
        raise InvalidArgument(message, ArgumentValue=str(value))
    return int(value)


def _midnight(value: datetime | str) -> int:
    """A date in ms since the epoch. Raises: InvalidArgument, unless it is midnight in UTC."""
    when = (parse_iso8601(value) if isinstance(value, str) else value).astimezone(UTC)
    if (when.hour, when.minute, when.second, when.microsecond) != (0, 0, 0, 0):
        raise InvalidArgument("'Date' must be at midnight GMT", ArgumentName="Date")
    return int(when.timestamp() * 1000)
