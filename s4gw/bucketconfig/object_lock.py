"""Object Lock: what requests and documents say about it, checked; what a lock forbids is the backends' to know.

Modes are "GOVERNANCE" and "COMPLIANCE"; times are milliseconds since the epoch.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from s4gw.s3 import iso8601, parse_iso8601
from s4gw.s3.errors import InvalidArgument, InvalidRetentionPeriod, MalformedXML

MODES: Final = frozenset({"GOVERNANCE", "COMPLIANCE"})
DAYS_MAX: Final = 36_500
YEARS_MAX: Final = 100

MODE_HEADER: Final = "x-amz-object-lock-mode"
UNTIL_HEADER: Final = "x-amz-object-lock-retain-until-date"
HOLD_HEADER: Final = "x-amz-object-lock-legal-hold"
BYPASS_HEADER: Final = "x-amz-bypass-governance-retention"


class ObjectLock(msgspec.Struct, frozen=True, omit_defaults=True):
    """The lock of one version, as asked for or as it is."""

    mode: str = ""
    """Empty: no retention."""
    until_ms: int = 0
    hold: bool = False

    def headers(self) -> dict[str, str]:
        """As headers say it."""
        found = {MODE_HEADER: self.mode, UNTIL_HEADER: iso8601(self.until_ms)} if self.mode else {}
        if self.hold:
            found[HOLD_HEADER] = "ON"
        return found


class LockChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a version's lock."""

    retention: tuple[str, int] | None = None
    """Mode and time, ("", 0) to remove it; None leaves it as it is."""
    hold: bool | None = None
    """None leaves it as it is."""
    bypass: bool = False
    """Go against GOVERNANCE: asked for, and allowed to the caller."""


class DefaultRetention(msgspec.Struct, frozen=True, omit_defaults=True):
    """What new versions in a bucket with Object Lock get when they bring no retention of their own."""

    mode: str = ""
    """Empty: nothing."""
    days: int = 0
    years: int = 0


def parse_configuration(document: Mapping[str, Any]) -> DefaultRetention:
    """Read a boto3-shaped ObjectLockConfiguration. Raises: MalformedXML, InvalidRetentionPeriod."""
    if document.get("ObjectLockEnabled") != "Enabled":
        raise MalformedXML
    if "Rule" not in document:
        return DefaultRetention()
    rule = (document["Rule"] or {}).get("DefaultRetention") or {}
    days, years = rule.get("Days"), rule.get("Years")
    if rule.get("Mode") not in MODES or (days is None) == (years is None):
        raise MalformedXML
    if (days is not None and days <= 0) or (years is not None and years <= 0):
        raise InvalidRetentionPeriod("Default retention period must be a positive integer value.")
    if (days or 0) > DAYS_MAX or (years or 0) > YEARS_MAX:
        raise InvalidRetentionPeriod("Default retention period is too large.")
    return DefaultRetention(rule["Mode"], days or 0, years or 0)


def configuration_document(default: DefaultRetention) -> dict[str, Any]:
    """*default* as a boto3-shaped ObjectLockConfiguration."""
    document: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
    if default.mode:
        period = {"Days": default.days} if default.days else {"Years": default.years}
        document["Rule"] = {"DefaultRetention": {"Mode": default.mode, **period}}
    return document


def parse_retention(document: Mapping[str, Any], now_ms: int) -> tuple[str, int]:
    """Read a boto3-shaped ObjectLockRetention.

    Returns: mode and time; ("", 0) for an empty document, which asks to remove the retention.
    Raises: MalformedXML, InvalidArgument (a time in the past).
    """
    mode, until = document.get("Mode"), document.get("RetainUntilDate")
    if mode is None and until is None:
        return "", 0
    if mode not in MODES or not isinstance(until, datetime):
        raise MalformedXML
    return str(mode), _future(until, now_ms)


def parse_legal_hold(document: Mapping[str, Any]) -> bool:
    """Read a boto3-shaped ObjectLockLegalHold. Raises: MalformedXML."""
    status = document.get("Status")
    if status not in ("ON", "OFF"):
        raise MalformedXML
    return bool(status == "ON")


def parse_headers(sent: Mapping[str, str], now_ms: int) -> ObjectLock | None:
    """The lock that the headers (or form fields, lower-case) of an upload ask for; None when they say nothing.

    Raises: InvalidArgument.
    """
    mode, until, hold = (sent.get(name) for name in (MODE_HEADER, UNTIL_HEADER, HOLD_HEADER))
    if mode is None and until is None and hold is None:
        return None
    if (mode is None) != (until is None):
        raise InvalidArgument(
            f"{UNTIL_HEADER} and {MODE_HEADER} must both be supplied",
            ArgumentName=MODE_HEADER if mode is None else UNTIL_HEADER,
        )
    if hold not in (None, "ON", "OFF"):
        raise InvalidArgument("Legal Hold must be either of 'ON' or 'OFF'", ArgumentName=HOLD_HEADER)
    if mode is None or until is None:
        return ObjectLock(hold=hold == "ON")
    if mode not in MODES:
        raise InvalidArgument("Unknown wormMode directive.", ArgumentName=MODE_HEADER, ArgumentValue=mode[:64])
    try:
        when = parse_iso8601(until)
    except ValueError as error:
        raise InvalidArgument(
            "The retain until date must be provided in ISO 8601 format", ArgumentName=UNTIL_HEADER
        ) from error
    return ObjectLock(mode, _future(when, now_ms), hold == "ON")


def wants_bypass(sent: Mapping[str, str]) -> bool:
    """Whether the request goes against GOVERNANCE; that it may is authorization's to say."""
    return sent.get(BYPASS_HEADER, "").strip().lower() == "true"


def _future(until: datetime, now_ms: int) -> int:
    until_ms = int(until.timestamp() * 1000)
    if until_ms <= now_ms:
        raise InvalidArgument("The retain until date must be in the future!", ArgumentName="RetainUntilDate")
    return until_ms
