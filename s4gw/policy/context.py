"""The condition keys that policies may test, and where their values come from.

A policy that names any other key is refused when it is stored. A key that is known and has no value in a request is
absent, which each operator treats in its own way. Tags of the existing object cost a look-up and are asked for only
when a condition tests them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote

from s4gw.s3 import parse_iso8601


class Caller(Protocol):
    """The principal, as far as policies care."""

    @property
    def access_key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def owner_id(self) -> str: ...
    @property
    def anonymous(self) -> bool: ...


def _no_tags() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Context:
    """Everything about a request that a condition can ask for."""

    caller: Caller
    now: float
    """Seconds since the epoch."""
    secure: bool = False
    source_ip: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Decoded."""
    auth_type: str = "anonymous"
    signature_version: str = ""
    signature_age_ms: int = 0
    existing_tags: Callable[[], Mapping[str, str]] = _no_tags
    """Tags of the object as it is now."""

    def values(self, key: str) -> tuple[str, ...] | None:
        """Values of the condition key *key* (lower-case), or None when the request has none."""
        source = _KEYS.get(key)
        if source is not None:
            return source(self)
        name, _, tag = key.partition("/")
        tagged = _TAG_KEYS.get(name)
        if tagged is None or not tag:
            return None
        # Tag keys are case-sensitive in S3 and not in policies, which IAM documents for its tag keys too.
        return next(((value,) for found, value in tagged(self).items() if found.lower() == tag), None)


Source = Callable[[Context], tuple[str, ...] | None]


def is_known_key(key: str) -> bool:
    """Whether the gateway can fill the condition key *key* (any case)."""
    lowered = key.lower()
    name, slash, tag = lowered.partition("/")
    return lowered in _KEYS or (name in _TAG_KEYS and bool(slash and tag))


def request_tags(headers: Mapping[str, str]) -> dict[str, str]:
    """Tags that a request brings in its ``x-amz-tagging`` header."""
    return dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))


def _one(value: str | None) -> tuple[str, ...] | None:
    return (value,) if value else None


def _header(name: str) -> Source:
    return lambda context: _one(context.headers.get(name))


def _parameter(name: str) -> Source:
    # An empty prefix is a prefix: policies test for it.
    return lambda context: (context.query[name],) if name in context.query else None


def _copy_source(context: Context) -> tuple[str, ...] | None:
    """``bucket/key`` of the copy source, decoded, without version."""
    value = context.headers.get("x-amz-copy-source")
    return _one(unquote(value.partition("?versionId=")[0]).removeprefix("/")) if value else None


def _principal_arn(context: Context) -> tuple[str, ...] | None:
    caller = context.caller
    return None if caller.anonymous else (f"arn:aws:iam::{caller.owner_id}:user/{caller.name}",)


def _remaining_days(context: Context) -> tuple[str, ...] | None:
    """Days until the retention that is asked for would end; a day that has begun counts."""
    try:
        until = parse_iso8601(context.headers["x-amz-object-lock-retain-until-date"]).timestamp()
    except (KeyError, ValueError):
        return None
    return (str(math.ceil((until - context.now) / _DAY_S)),)


_DAY_S: Final = 86_400
_AUTH_TYPES: Final = {"header": "REST-HEADER", "presigned": "REST-QUERY-STRING", "post": "POST"}

_KEYS: Final[Mapping[str, Source]] = {
    "aws:currenttime": lambda c: (datetime.fromtimestamp(c.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
    "aws:epochtime": lambda c: (str(int(c.now)),),
    "aws:principalaccount": lambda c: _one(c.caller.owner_id),
    "aws:principalarn": _principal_arn,
    "aws:principaltype": lambda c: ("Anonymous" if c.caller.anonymous else "User",),
    "aws:referer": _header("referer"),
    "aws:securetransport": lambda c: ("true" if c.secure else "false",),
    "aws:sourceip": lambda c: _one(c.source_ip),
    "aws:useragent": _header("user-agent"),
    "aws:userid": lambda c: ("anonymous",) if c.caller.anonymous else (c.caller.owner_id,),
    "aws:username": lambda c: _one(c.caller.name),
    "s3:authtype": lambda c: _one(_AUTH_TYPES.get(c.auth_type)),
    "s3:delimiter": _parameter("delimiter"),
    "s3:if-match": _header("if-match"),
    "s3:if-none-match": _header("if-none-match"),
    "s3:max-keys": _parameter("max-keys"),
    "s3:object-lock-remaining-retention-days": _remaining_days,
    "s3:object-lock-legal-hold": _header("x-amz-object-lock-legal-hold"),
    "s3:object-lock-mode": _header("x-amz-object-lock-mode"),
    "s3:object-lock-retain-until-date": _header("x-amz-object-lock-retain-until-date"),
    "s3:prefix": _parameter("prefix"),
    "s3:requestobjecttagkeys": lambda c: tuple(request_tags(c.headers)) or None,
    "s3:signatureage": lambda c: None if c.caller.anonymous else (str(c.signature_age_ms),),
    "s3:signatureversion": lambda c: _one(c.signature_version),
    "s3:versionid": _parameter("versionId"),
    "s3:x-amz-acl": _header("x-amz-acl"),
    "s3:x-amz-content-sha256": _header("x-amz-content-sha256"),
    "s3:x-amz-copy-source": _copy_source,
    "s3:x-amz-grant-full-control": _header("x-amz-grant-full-control"),
    "s3:x-amz-grant-read": _header("x-amz-grant-read"),
    "s3:x-amz-grant-read-acp": _header("x-amz-grant-read-acp"),
    "s3:x-amz-grant-write": _header("x-amz-grant-write"),
    "s3:x-amz-grant-write-acp": _header("x-amz-grant-write-acp"),
    "s3:x-amz-metadata-directive": _header("x-amz-metadata-directive"),
    "s3:x-amz-object-ownership": _header("x-amz-object-ownership"),
    "s3:x-amz-server-side-encryption": _header("x-amz-server-side-encryption"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": _header("x-amz-server-side-encryption-aws-kms-key-id"),
    "s3:x-amz-server-side-encryption-customer-algorithm": _header("x-amz-server-side-encryption-customer-algorithm"),
    "s3:x-amz-storage-class": _header("x-amz-storage-class"),
    "s3:x-amz-website-redirect-location": _header("x-amz-website-redirect-location"),
}

_TAG_KEYS: Final[Mapping[str, Callable[[Context], Mapping[str, str]]]] = {
    "s3:existingobjecttag": lambda c: c.existing_tags(),
    "s3:requestobjecttag": lambda c: request_tags(c.headers),
}
