"""Object Lock in documents and headers: S3's rules, S3's errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s4gw.bucketconfig import DefaultRetention, ObjectLock
from s4gw.bucketconfig.object_lock import (
    configuration_document,
    parse_configuration,
    parse_headers,
    parse_legal_hold,
    parse_retention,
    wants_bypass,
)
from s4gw.s3.errors import InvalidArgument, InvalidRetentionPeriod, MalformedXML, S3Error

NOW_MS = 1_700_000_000_000
LATER = datetime(2040, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER_MS = int(LATER.timestamp() * 1000)


def configuration(**default: Any) -> dict[str, Any]:
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}


@pytest.mark.parametrize(
    ("document", "default"),
    [
        ({"ObjectLockEnabled": "Enabled"}, DefaultRetention()),
        (configuration(Mode="GOVERNANCE", Days=1), DefaultRetention("GOVERNANCE", days=1)),
        (configuration(Mode="COMPLIANCE", Years=100), DefaultRetention("COMPLIANCE", years=100)),
    ],
)
def test_a_configuration_comes_back(document: dict[str, Any], default: DefaultRetention) -> None:
    assert (default, document) == (parse_configuration(document), configuration_document(default))


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({}, MalformedXML),
        ({"ObjectLockEnabled": "Disabled"}, MalformedXML),
        ({"ObjectLockEnabled": "Enabled", "Rule": {}}, MalformedXML),
        (configuration(Mode="GOVERNANCE"), MalformedXML),
        (configuration(Days=1), MalformedXML),
        (configuration(Mode="GOVERNANCE", Days=1, Years=1), MalformedXML),
        (configuration(Mode="GOVERNANCE", Days=0), InvalidRetentionPeriod),
        (configuration(Mode="GOVERNANCE", Years=-1), InvalidRetentionPeriod),
        (configuration(Mode="GOVERNANCE", Days=36_501), InvalidRetentionPeriod),
        (configuration(Mode="GOVERNANCE", Years=101), InvalidRetentionPeriod),
    ],
)
def test_a_wrong_configuration_is_refused(document: dict[str, Any], error: type[S3Error]) -> None:
    with pytest.raises(error):
        parse_configuration(document)


def test_retention_and_hold_documents() -> None:
    assert ("COMPLIANCE", LATER_MS) == parse_retention({"Mode": "COMPLIANCE", "RetainUntilDate": LATER}, NOW_MS)
    assert (("", 0), True, False) == (
        parse_retention({}, NOW_MS),
        parse_legal_hold({"Status": "ON"}),
        parse_legal_hold({"Status": "OFF"}),
    )
    for wrong in ({"Mode": "COMPLIANCE"}, {"RetainUntilDate": LATER}, {"Mode": "x", "RetainUntilDate": LATER}):
        with pytest.raises(MalformedXML):
            parse_retention(wrong, NOW_MS)
    with pytest.raises(InvalidArgument):
        parse_retention({"Mode": "COMPLIANCE", "RetainUntilDate": LATER}, LATER_MS)
    with pytest.raises(MalformedXML):
        parse_legal_hold({"Status": "on"})


def headers(mode: str = "", until: str = "", hold: str = "") -> dict[str, str]:
    pairs = {"mode": mode, "retain-until-date": until, "legal-hold": hold}
    return {f"x-amz-object-lock-{name}": value for name, value in pairs.items() if value}


@pytest.mark.parametrize(
    ("sent", "lock"),
    [
        (headers(), None),
        (headers(hold="OFF"), ObjectLock()),
        (headers(hold="ON"), ObjectLock(hold=True)),
        (headers("GOVERNANCE", "2040-01-02T03:04:05Z"), ObjectLock("GOVERNANCE", LATER_MS)),
        (headers("COMPLIANCE", "2040-01-02T03:04:05.000Z", "ON"), ObjectLock("COMPLIANCE", LATER_MS, hold=True)),
    ],
)
def test_headers_of_an_upload(sent: dict[str, str], lock: ObjectLock | None) -> None:
    assert lock == parse_headers(sent, NOW_MS)


@pytest.mark.parametrize(
    "sent",
    [
        headers("GOVERNANCE"),
        headers(until="2040-01-02T03:04:05Z"),
        headers("governance", "2040-01-02T03:04:05Z"),
        headers("GOVERNANCE", "soon"),
        headers("GOVERNANCE", "2020-01-02T03:04:05Z"),
        headers(hold="on"),
    ],
)
def test_wrong_headers_are_refused(sent: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        parse_headers(sent, NOW_MS)


def test_a_lock_as_headers_is_read_back() -> None:
    lock = ObjectLock("GOVERNANCE", LATER_MS, hold=True)
    assert lock == parse_headers(lock.headers(), NOW_MS)


def test_a_bypass_says_true() -> None:
    values = ["true", "True", "false", "1", ""]
    found = [wants_bypass({"x-amz-bypass-governance-retention": value}) for value in values]
    assert [True, True, False, False, False] == found
